//! Imports a crontab, as Vixie cron, cronie and systemd-cron read it.

use serde_json::json;

use super::cron_environment::{CronEnvironment, parse_assignment};
use super::cron_field::{self, CronTimes};
use super::draft::{DraftJob, ImportDraft, Place};
use crate::model::Recurrence;

/// The queue of the entries with a time.
const QUEUE: &str = "cron";

/// The queue of the entries with `@reboot`.
const REBOOT_QUEUE: &str = "reboot";

/// The longest comment that becomes a title.
const MAX_TITLE_CHARS: usize = 72;

/// How to read a crontab.
#[derive(Debug)]
pub(super) struct CrontabFormat {
    /// Whether there is a column with a user, whose entries alone are wanted: `/etc/crontab`.
    pub(super) user: Option<String>,
    /// The name of the file, for the text.
    pub(super) source: String,
}

/// The parser of one crontab.
struct CrontabReader<'f> {
    format: &'f CrontabFormat,
    draft: ImportDraft,
    environment: CronEnvironment,
    /// The comment directly above the line.
    comments: Vec<String>,
    /// Comments above the first entry that don't belong to it.
    file_comments: Vec<String>,
    /// Comments below it that belong to no entry.
    loose_comments: Vec<String>,
    has_explained_user: bool,
}

/// The parts of an entry.
struct CronEntry {
    /// None for `@reboot`.
    times: Option<CronTimes>,
    /// What follows the times: the user if there is such a column, options and the command.
    rest: String,
}

/// Reads a crontab.
pub(super) fn import(text: &[u8], format: &CrontabFormat) -> ImportDraft {
    let mut reader = CrontabReader {
        format,
        draft: ImportDraft::default(),
        environment: CronEnvironment::default(),
        comments: Vec::new(),
        file_comments: Vec::new(),
        loose_comments: Vec::new(),
        has_explained_user: false,
    };
    for (nth, line) in text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n').enumerate() {
        match str::from_utf8(line) {
            Ok(line) => reader.read_line(line, nth + 1),
            Err(_) => reader.draft.refuse(Place::Line(nth + 1), "not carried over: the line is not UTF-8; convert it"),
        }
    }
    if !text.is_empty() && !text.ends_with(b"\n") {
        let last = text.split(|byte| *byte == b'\n').count();
        reader.draft.note(Place::Line(last), "cron ignores a last line without a line end; here it counts");
    }
    reader.finish()
}

impl CrontabReader<'_> {
    fn read_line(&mut self, line: &str, number: usize) {
        let place = Place::Line(number);
        let line = match line.strip_suffix('\r') {
            Some(line) => {
                self.draft.note(place, "the carriage return at the end of the line is left out");
                line
            }
            None => line,
        };
        let text = line.trim_start_matches([' ', '\t']);
        if text.is_empty() {
            self.put_comments_aside();
        } else if let Some(comment) = text.strip_prefix('#') {
            let comment = comment.strip_prefix(' ').unwrap_or(comment).trim_end();
            if !is_column_heading(comment) {
                self.comments.push(comment.to_owned());
            }
        } else if let Some((name, value)) = parse_assignment(text) {
            self.put_comments_aside();
            self.environment.set(&name, value, number, &mut self.draft);
        } else {
            let comments = std::mem::take(&mut self.comments);
            if let Err(reason) = self.read_entry(text, place, comments) {
                self.draft.refuse(place, format!("not carried over: {reason}"));
            }
        }
    }

    /// Keeps comments that are not directly above an entry.
    fn put_comments_aside(&mut self) {
        let aside = if self.draft.queues.is_empty() { &mut self.file_comments } else { &mut self.loose_comments };
        aside.append(&mut self.comments);
    }

    fn read_entry(&mut self, text: &str, place: Place, comments: Vec<String>) -> Result<(), String> {
        let entry = split_entry(text)?;
        let mut rest = entry.rest.as_str();
        if let Some(wanted) = &self.format.user {
            let (user, command) =
                rest.split_once([' ', '\t']).ok_or("expected a user and a command after the times")?;
            rest = command.trim_start_matches([' ', '\t']);
            if user != wanted {
                return Err(format!(
                    "it runs as {user}, and the jobs of a site run as one user; import it as {user}, with `--user {user}`"
                ));
            }
        }
        let mut only_failures = false;
        while let Some(options) = rest.strip_prefix('-') {
            let (option, command) = options.split_once([' ', '\t']).unwrap_or((options, ""));
            if option != "n" {
                return Err(format!("unknown option `-{option}` before the command"));
            }
            only_failures = true;
            rest = command.trim_start_matches([' ', '\t']);
        }
        let (command, stdin) = split_percent(rest);
        if command.trim().is_empty() {
            return Err("there is no command".to_owned());
        }
        let mut job = DraftJob { place, ..DraftJob::default() };
        job.comments = std::mem::take(&mut self.loose_comments);
        add_description(&mut job, comments);
        job.set("run", trim_command(&command));
        if let Some(stdin) = stdin {
            job.set("stdin", stdin);
        }
        self.environment.apply(&mut job, only_failures);
        if only_failures && !self.environment.mentions_mail() {
            self.draft.note(place, "`-n` (mail only after a failure) has no effect without `MAILTO`");
        }
        self.suspect_user_column(&command, place);
        if let Some(times) = entry.times {
            return self.add_scheduled(job, &times, place);
        }
        self.draft.note(
            place,
            "`@reboot` is not a time of a schedule: the job is in the queue `reboot` without one; keep the line \
             `@reboot setlist -f FILE process reboot --again` in the crontab",
        );
        self.draft.queue(REBOOT_QUEUE, "At boot").jobs.push(job);
        Ok(())
    }

    fn add_scheduled(&mut self, mut job: DraftJob, times: &CronTimes, place: Place) -> Result<(), String> {
        Recurrence::parse(&times.expression, chrono_tz::UTC).map_err(|error| match error.hint {
            Some(hint) => format!("{}; {hint}", error.message),
            None => error.message,
        })?;
        let schedule = self.environment.schedule(&times.expression);
        let schedule = schedule
            .map_err(|line| format!("the time zone of line {line} is unknown; correct it, and import again"))?;
        for (written, value) in &times.picked {
            self.draft.note(place, format!("`{written}` is {value} from now on; cron picks a value when it starts"));
        }
        job.set("schedule", schedule);
        self.draft.queue(QUEUE, "Jobs from the crontab").jobs.push(job);
        Ok(())
    }

    /// Notes once that a file seems to have a column with users.
    fn suspect_user_column(&mut self, command: &str, place: Place) {
        let is_known = |user: &str| ["root", "www-data"].contains(&user);
        let has_user = command.split_once([' ', '\t']).is_some_and(|(first, _)| is_known(first));
        if self.format.user.is_none() && has_user && !self.has_explained_user {
            self.has_explained_user = true;
            self.draft
                .note(place, "the command begins like a user: import /etc/crontab and /etc/cron.d with `--system`");
        }
    }

    fn finish(mut self) -> ImportDraft {
        let comments = [std::mem::take(&mut self.loose_comments), std::mem::take(&mut self.comments)].concat();
        if let Some(last) = self.draft.queues.last_mut() {
            last.trailing_comments = comments;
        }
        let has_jobs = self.draft.queues.iter().any(|queue| queue.name == QUEUE);
        if has_jobs && !self.environment.mentions_mail() {
            self.draft.note(
                Place::File,
                "there is no `MAILTO`: cron mails the output to you, Setlist keeps it for `setlist log`; for mail, set \
                 `on_finish`",
            );
        }
        self.draft.header = [
            format!("Imported from {} by `setlist import crontab`.", self.format.source),
            String::new(),
            "The jobs run as cron runs them: in the home directory, with few variables, and times at which no worker is".to_owned(),
            "running are not made up for (`missed: skip`; remove it to change that). Unlike with cron, a job that is due".to_owned(),
            "while it is still running is not started a second time. `setlist service install` keeps a worker running.".to_owned(),
            "Remove the lines from the crontab when you use this file, or the jobs run twice.".to_owned(),
        ]
        .to_vec();
        while self.file_comments.last().is_some_and(String::is_empty) {
            self.file_comments.pop();
        }
        if !self.file_comments.is_empty() {
            self.draft.header.push(String::new());
            self.draft.header.append(&mut self.file_comments);
        }
        self.draft
    }
}

/// Separates the times of an entry from the rest.
fn split_entry(text: &str) -> Result<CronEntry, String> {
    // Root may ask not to log an entry.
    let text = text.strip_prefix('-').unwrap_or(text);
    let blank = [' ', '\t'];
    if let Some(nickname) = text.strip_prefix('@') {
        let (word, rest) = nickname.split_once(blank).ok_or("there is no command")?;
        let times = if word == "reboot" { None } else { Some(cron_field::parse_nickname(word)?) };
        return Ok(CronEntry { times, rest: rest.trim_start_matches(blank).to_owned() });
    }
    let mut fields = [""; 5];
    let mut rest = text;
    for field in &mut fields {
        let missing = "neither a variable (`NAME=value`) nor five fields and a command";
        let (word, after) = rest.split_once(blank).ok_or(missing)?;
        *field = word;
        rest = after.trim_start_matches(blank);
    }
    let times = cron_field::parse_times(fields, text)?;
    if rest.is_empty() || rest.starts_with('*') {
        return Err("expected a command after five fields".to_owned());
    }
    Ok(CronEntry { times: Some(times), rest: rest.to_owned() })
}

/// Separates the command from its standard input, which begins at the first `%` without a backslash. Further ones are
/// line ends, and `\%` is a percent sign.
fn split_percent(text: &str) -> (String, Option<String>) {
    let mut command = String::new();
    let mut chars = text.chars();
    let mut is_escaped = false;
    let mut has_input = false;
    for c in chars.by_ref() {
        match c {
            '%' if is_escaped => {
                command.pop();
                command.push('%');
                is_escaped = false;
            }
            '%' => {
                has_input = true;
                break;
            }
            c => {
                command.push(c);
                is_escaped = c == '\\' && !is_escaped;
            }
        }
    }
    if !has_input {
        return (command, None);
    }
    let mut input = String::new();
    let mut is_escaped = false;
    for c in chars {
        if is_escaped && c != '%' {
            input.push('\\');
        }
        let c = if c == '%' && !is_escaped { '\n' } else { c };
        is_escaped = c == '\\';
        if !is_escaped {
            input.push(c);
        }
    }
    input.push_str(if is_escaped { "\\" } else { "" });
    if !input.is_empty() && !input.ends_with('\n') {
        input.push('\n');
    }
    (command, Some(input))
}

/// The command without trailing blanks, unless the last one is escaped.
fn trim_command(command: &str) -> String {
    let trimmed = command.trim_end_matches([' ', '\t']);
    if trimmed.ends_with('\\') { command.to_owned() } else { trimmed.to_owned() }
}

/// The comment above an entry: a short one is its title.
fn add_description(job: &mut DraftJob, mut comments: Vec<String>) {
    let is_title = |comment: &str| {
        let length = comment.chars().count();
        (1..=MAX_TITLE_CHARS).contains(&length)
            && comment.chars().all(|c| !c.is_control())
            && comment.chars().any(char::is_alphabetic)
            && !comment.contains("${")
            && split_entry(comment).is_err()
            && parse_assignment(comment).is_none()
    };
    if let [.., comment] = &comments[..]
        && is_title(comment.trim())
        && (comments.len() == 1 || comments[..comments.len() - 1].iter().all(|above| split_entry(above).is_ok()))
    {
        job.set("title", json!(comment.trim()));
        comments.pop();
    }
    job.comments.append(&mut comments);
}

/// Whether a comment only names the columns: `m h  dom mon dow   command`.
fn is_column_heading(comment: &str) -> bool {
    let words: Vec<String> = comment.split_whitespace().map(str::to_ascii_lowercase).collect();
    let first = words.iter().map(String::as_str).take(5).collect::<Vec<_>>();
    matches!(
        first[..],
        ["m" | "min" | "minute", "h" | "hr" | "hour", "dom" | "mday" | "day", "mon" | "month", "dow" | "wday"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_sign_begins_the_input() {
        let split = |text: &str| {
            let (command, input) = split_percent(text);
            (command, input.unwrap_or_else(|| "none".to_owned()))
        };
        let pair = |command: &str, input: &str| (command.to_owned(), input.to_owned());
        assert_eq!(split("date +\\%F"), pair("date +%F", "none"));
        assert_eq!(split("mail joe%Joe,%%Where?%"), pair("mail joe", "Joe,\n\nWhere?\n"));
        assert_eq!(split("cat%50\\% of\\n"), pair("cat", "50% of\\n\n"));
        assert_eq!(split("echo \\\\%in"), pair("echo \\\\", "in\n"));
        assert_eq!(split("cat%"), pair("cat", ""));
        assert_eq!(split("echo \\n\\%"), pair("echo \\n%", "none"));
    }
}
