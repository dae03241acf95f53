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
const INHERITED: [&str; 7] = ["env", "shell", "cwd", "timeout", "grace", "ok_codes", "tags"];
/// Fields of a queue that it can inherit.
const QUEUE_INHERITED: [&str; 2] = ["parallel", "on_failure"];
/// Fields of a job alone.
const OWN: [&str; 7] = ["id", "title", "run", "command", "args", "kwargs", "stdin"];
/// Fields that are planned; until they work they are refused.
const LATER: [&str; 10] =
    ["retry", "needs", "after", "priority", "weight", "env_file", "confirm", "matrix", "pty", "log_limit"];

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
    problems.add(if LATER.contains(&&**text) {
        problem(format!("{name} is not supported yet"))
    } else if let Some(meant) = nearest(text, &known) {
        problem(format!("unknown field {name}")).hint(format!("did you mean `{meant}`?"))
    } else if let Some(home) =
        [Place::Job, Place::Queue, Place::Top].into_iter().find(|p| p.fields().contains(&&**text))
    {
        let hint = match (home, place) {
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
