//! The fields that there are, where each may stand, and what is said of one that isn't known there.

use super::path::Path;
use super::problems::{Problem, Problems};
use super::tree::{Entry, Key};
use super::words::{nearest, one_of, quoted};

/// A kind of map that has fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The top level of the file.
    Top,
    /// `defaults`.
    Defaults,
    /// A queue.
    Queue,
    /// A job.
    Job,
}

/// Fields of a job that it can inherit: they may also stand in its queue and in `defaults`.
const INHERITED: [&str; 14] = [
    "env",
    "env_file",
    "shell",
    "cwd",
    "timeout",
    "grace",
    "retry",
    "after",
    "priority",
    "weight",
    "ok_codes",
    "pty",
    "log_limit",
    "tags",
];
/// Fields of a queue that it can inherit.
const QUEUE_INHERITED: [&str; 3] = ["parallel", "on_failure", "keep"];
/// Fields of a job alone.
const OWN: [&str; 10] = ["id", "title", "run", "command", "args", "kwargs", "stdin", "needs", "confirm", "matrix"];
/// What other tools call some of them.
const ELSEWHERE: [(&str, &str); 14] = [
    ("cmd", "command"),
    ("concurrency", "parallel"),
    ("delay", "after"),
    ("depends", "needs"),
    ("depends_on", "needs"),
    ("dir", "cwd"),
    ("environment", "env"),
    ("requires", "needs"),
    ("retries", "retry"),
    ("script", "run"),
    ("tty", "pty"),
    ("workdir", "cwd"),
    ("working_dir", "cwd"),
    ("working_directory", "cwd"),
];

impl Place {
    fn fields(self) -> Vec<&'static str> {
        match self {
            Self::Top => vec!["defaults", "queues"],
            Self::Defaults => [&QUEUE_INHERITED[..], &INHERITED].concat(),
            Self::Queue => [&["title", "jobs"], &QUEUE_INHERITED[..], &INHERITED].concat(),
            Self::Job => [&OWN[..], &INHERITED].concat(),
        }
    }

    fn preposition(self) -> &'static str {
        match self {
            Self::Top => "at the top level",
            Self::Defaults => "in `defaults`",
            Self::Queue => "in a queue",
            Self::Job => "in a job",
        }
    }
}

/// Reports a field that isn't known in its place.
pub(super) fn unknown(entry: &Entry<'_>, place: Place, path: &Path<'_>, problems: &mut Problems) {
    let Key { id, text, unfit: None } = &entry.key else { return };
    let known = place.fields();
    let name = quoted(text);
    let problem = |message: String| Problem::new(*id, path, message);
    let elsewhere = ELSEWHERE.iter().find(|(theirs, _)| theirs == text).map(|(_, ours)| *ours);
    let meant = elsewhere.filter(|ours| known.contains(ours)).or_else(|| nearest(text, &known));
    problems.add(if let Some(meant) = meant {
        problem(format!("unknown field {name}")).hint(format!("did you mean `{meant}`?"))
    } else if let Some(home) =
        [Place::Job, Place::Queue, Place::Top].into_iter().find(|p| p.fields().contains(&&**text))
    {
        let hint = match (home, place) {
            (Place::Job, _) if **text == *"needs" => "each job says itself what it needs".to_owned(),
            (Place::Job, _) if **text == *"confirm" => "each job that asks before it runs says so itself".to_owned(),
            (Place::Job, _) if **text == *"matrix" => "it stands in the job of which it makes several".to_owned(),
            (Place::Job, Place::Defaults) => format!("{name} belongs to one job and can't be a default"),
            (Place::Queue, Place::Defaults) => format!("{name} belongs to one queue and can't be a default"),
            (Place::Queue, Place::Top) => format!("put it into a queue: `queues: {{NAME: {{{text}: …}}}}`"),
            _ => format!("it stands {}", home.preposition()),
        };
        problem(format!("{name} can't stand {}", place.preposition())).hint(hint)
    } else if text.contains(' ') {
        problem(format!("unknown field {name}")).hint("text that contains `: ` needs quotes")
    } else {
        problem(format!("unknown field {name}")).expected(format!("expected {}", one_of(&known)))
    });
}

/// Reports a field that isn't among the known ones of a small map.
pub(super) fn unknown_among(entry: &Entry<'_>, known: &[&str], path: &Path<'_>, problems: &mut Problems) {
    let Key { id, text, unfit: None } = &entry.key else { return };
    let problem = Problem::new(*id, path, format!("unknown field {}", quoted(text)));
    problems.add(match nearest(text, known) {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem.expected(format!("expected {}", one_of(known))),
    });
}
