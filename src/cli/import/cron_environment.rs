//! The environment lines of a crontab: `NAME = value`, with the quotes of cron.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::draft::{DraftJob, ImportDraft, Place};
use crate::model::parse_zone;

/// Sends what a job printed by mail, as cron does.
const MAIL: &str =
    "[ ! -s \"$SETLIST_LOG\" ] || mail -s \"Cron $SETLIST_QUEUE/$SETLIST_JOB\" \"$MAILTO\" < \"$SETLIST_LOG\"";

/// The `PATH` of a job of cron without one in the crontab.
const DEFAULT_PATH: &str = "/usr/bin:/bin";

const DEFAULT_SHELL: &str = "/bin/sh";

/// The longest `RANDOM_DELAY`, in minutes.
const MAX_DELAY: u32 = 24 * 60;

/// The variables above a line, and what they mean to cron.
#[derive(Debug, Default)]
pub(super) struct CronEnvironment {
    variables: BTreeMap<String, String>,
    /// The time zone of the schedules, or the line of an unknown one.
    zone: Option<Result<String, usize>>,
    /// The largest delay in minutes.
    delay: u32,
    /// Whether missed times are made up for.
    is_persistent: bool,
    has_explained_mail: bool,
}

/// Parses `NAME = value`. Both may be in quotes of either kind; without them, the value ends before trailing spaces.
pub(super) fn parse_assignment(line: &str) -> Option<(String, String)> {
    let (name, rest) = if let Some(quoted) = line.strip_prefix(['"', '\'']) {
        quoted.split_once(line.chars().next()?)?
    } else {
        line.split_at(line.find(|c: char| c == '=' || c.is_ascii_whitespace())?)
    };
    let rest = rest.trim_start();
    let value = rest.strip_prefix('=').filter(|_| !name.contains('='))?.trim_start();
    match value.strip_prefix(['"', '\'']) {
        Some(quoted) => {
            let (value, rest) = quoted.split_once(value.chars().next()?)?;
            rest.trim().is_empty().then(|| (name.to_owned(), value.to_owned()))
        }
        None => Some((name.to_owned(), value.trim_end().to_owned())),
    }
}

impl CronEnvironment {
    /// Sets a variable for the lines below.
    pub(super) fn set(&mut self, name: &str, value: String, line: usize, draft: &mut ImportDraft) {
        let place = Place::Line(line);
        if name.is_empty() || name.contains('\0') || value.contains('\0') {
            return draft.refuse(place, "not carried over: a variable without a name, or with a zero byte");
        }
        match name {
            "LOGNAME" | "USER" => {
                return draft.refuse(place, format!("not carried over: cron sets `{name}` itself; Setlist does, too"));
            }
            "CRON_TZ" => return self.set_zone(&value, line, draft),
            "RANDOM_DELAY" => return self.set_delay(&value, place, draft),
            "PERSISTENT" => {
                self.is_persistent = matches!(value.to_ascii_lowercase().as_str(), "yes" | "true" | "1" | "on");
                return;
            }
            "MAILTO" => self.explain_mail(&value, place, draft),
            "TZ" => draft.note(
                place,
                "`TZ` is set for the commands, as by cron; systemd-cron also reads times in it: write `CRON_TZ` for that",
            ),
            "SHELL" | "HOME" if value.is_empty() => {
                return draft.refuse(place, format!("not carried over: `{name}` is empty; cron can run nothing then"));
            }
            "MAILFROM" | "CONTENT_TYPE" | "CONTENT_TRANSFER_ENCODING" | "MLS_LEVEL" | "XDG_SESSION_CLASS" | "DELAY"
            | "START_HOURS_RANGE" | "BATCH" => {
                return draft.refuse(place, format!("not carried over: Setlist has nothing like `{name}`; remove it"));
            }
            _ if name.starts_with("CRON_") => {
                return draft.refuse(place, format!("not carried over: Setlist has nothing like `{name}`; remove it"));
            }
            _ => {}
        }
        self.variables.insert(name.to_owned(), value);
    }

    fn set_zone(&mut self, value: &str, line: usize, draft: &mut ImportDraft) {
        self.zone = match parse_zone(value) {
            _ if value.is_empty() => None,
            Ok(zone) => Some(Ok(zone.name().to_owned())),
            Err(error) => {
                let hint = error.hint.unwrap_or_default();
                draft.refuse(Place::Line(line), format!("not carried over: {}; {hint}", error.message));
                Some(Err(line))
            }
        };
    }

    fn set_delay(&mut self, value: &str, place: Place, draft: &mut ImportDraft) {
        match value.parse().ok().filter(|delay| *delay <= MAX_DELAY) {
            Some(delay) => self.delay = delay,
            None => {
                draft.refuse(place, format!("not carried over: `RANDOM_DELAY` is not from 0 to {MAX_DELAY} minutes"));
            }
        }
    }

    fn explain_mail(&mut self, value: &str, place: Place, draft: &mut ImportDraft) {
        if value.starts_with('-') {
            return draft.refuse(place, "no mail is sent: `MAILTO` begins with `-`, like an option; write an address");
        }
        if value.contains('$') {
            draft.note(place, "variables in `MAILTO` are not replaced (cronie does); write the address");
        }
        if !value.is_empty() && !self.has_explained_mail {
            self.has_explained_mail = true;
            draft.note(place, "output is sent by `on_finish` with the program `mail`, which has to be installed");
        }
    }

    /// Sets the fields of a job that depend on the variables above it. `only_failures`: it sends mail only then.
    pub(super) fn apply(&self, job: &mut DraftJob, only_failures: bool) {
        let variable = |name: &str, default: &str| self.variables.get(name).cloned().unwrap_or(default.to_owned());
        let shell = variable("SHELL", DEFAULT_SHELL);
        job.env = self.variables.clone();
        job.env.entry("PATH".to_owned()).or_insert_with(|| DEFAULT_PATH.to_owned());
        job.env.insert("SHELL".to_owned(), shell.clone());
        job.set("shell", json!([shell, "-c"]));
        job.set("cwd", variable("HOME", "~"));
        job.set("pass_env", "none");
        let mail = self.variables.get("MAILTO").filter(|to| !to.is_empty() && !to.starts_with('-'));
        match (mail.is_some(), only_failures) {
            (false, _) => {}
            (true, false) => job.set("on_finish", MAIL),
            (true, true) => job.set("on_finish", json!({"on": "failure", "run": MAIL})),
        }
    }

    /// The schedule of an expression; the line of the time zone if that is unknown.
    pub(super) fn schedule(&self, expression: &str) -> Result<Value, usize> {
        let mut schedule = json!({"cron": expression});
        match &self.zone {
            Some(Ok(zone)) => schedule["timezone"] = json!(zone),
            Some(Err(line)) => return Err(*line),
            None => {}
        }
        if self.delay > 0 {
            schedule["jitter"] = json!(format!("{}m", self.delay));
        }
        if !self.is_persistent {
            schedule["missed"] = json!("skip");
        }
        Ok(schedule)
    }

    /// Whether a crontab says anything about mail.
    pub(super) fn mentions_mail(&self) -> bool {
        self.variables.contains_key("MAILTO")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_by_the_rules_of_cron() {
        for (line, name, value) in [
            ("A=b", "A", "b"),
            ("A = b c  ", "A", "b c"),
            ("A=", "A", ""),
            ("A=\"\"", "A", ""),
            ("A = \" b \"  ", "A", " b "),
            ("A='b \"c\"'", "A", "b \"c\""),
            ("\"A B\" = c", "A B", "c"),
            ("A=b'c'", "A", "b'c'"),
            ("A=b=c", "A", "b=c"),
            ("PATH=~/bin:$HOME/bin", "PATH", "~/bin:$HOME/bin"),
        ] {
            assert_eq!(parse_assignment(line), Some((name.to_owned(), value.to_owned())), "{line}");
        }
        for line in ["0 5 * * * make A=b", "@daily A=b", "A=\"b\" c", "A=\"b", "A", "A b=c", "'A=b'=c"] {
            assert_eq!(parse_assignment(line), None, "{line}");
        }
    }
}
