//! The hints of the first minutes: keys that are shown until each has been used once, on any site.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::action::Action;

/// The hinted actions, with what their keys do.
const HINTS: [(Action, &str); 3] =
    [(Action::Process, "starts this queue"), (Action::Open, "shows the output"), (Action::Help, "shows all keys")];

/// The hints that are left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstHints {
    left: Vec<Action>,
    /// Where used hints are remembered.
    file: Option<PathBuf>,
}

impl FirstHints {
    /// No hints.
    pub fn none() -> Self {
        Self::default()
    }

    /// The hints that this file doesn't list as used. Without a file, or if it can't be read, there are none: they would
    /// come back each time.
    pub fn remembered_in(file: Option<PathBuf>) -> Self {
        let Some(file) = file else { return Self::none() };
        let used = match fs::read_to_string(&file) {
            Ok(used) => used,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(_) => return Self::none(),
        };
        let is_used = |action: Action| action.entry().is_some_and(|entry| used.lines().any(|line| line == entry.name));
        let left = HINTS.iter().map(|(action, _)| *action).filter(|action| !is_used(*action)).collect();
        Self { left, file: Some(file) }
    }

    /// What is left, in order.
    pub(super) fn left(&self) -> impl Iterator<Item = &'static (Action, &'static str)> {
        HINTS.iter().filter(|(action, _)| self.left.contains(action))
    }

    /// Removes the hint of an action that was used. Returns what to remember, if there was one.
    pub(super) fn take(&mut self, action: Action) -> Option<UsedHint> {
        let before = self.left.len();
        self.left.retain(|other| *other != action);
        let (file, entry) = (self.file.clone(), action.entry()?);
        (self.left.len() < before).then_some(UsedHint { file, name: entry.name })
    }
}

/// A hint that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedHint {
    file: Option<PathBuf>,
    name: &'static str,
}

impl UsedHint {
    /// Adds it to the file.
    pub fn remember(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        if let Some(dir) = file.parent().filter(|dir| *dir != Path::new("")) {
            fs::create_dir_all(dir)?;
        }
        writeln!(OpenOptions::new().create(true).append(true).open(file)?, "{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_hints_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/hints");
        let mut hints = FirstHints::remembered_in(Some(file.clone()));
        assert_eq!(hints.left().count(), 3);
        hints.take(Action::Open).unwrap().remember().unwrap();
        assert_eq!((hints.take(Action::Open), hints.take(Action::Quit)), (None, None));
        let hints = FirstHints::remembered_in(Some(file));
        let left: Vec<Action> = hints.left().map(|(action, _)| *action).collect();
        assert_eq!(left, [Action::Process, Action::Help]);
        assert_eq!(FirstHints::remembered_in(None).left().count(), 0);
    }
}
