//! Which key does what for this person: as in the table of actions, but for what they have set otherwise.

use std::collections::BTreeMap;

use super::action::{Action, Context, TABLE};
use super::keys::Key;

/// The keys of every action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    keys: BTreeMap<Action, Vec<Key>>,
}

impl Keymap {
    /// What `key` does while a list (or else the output) has the focus.
    pub fn action(&self, key: Key, in_output: bool) -> Option<Action> {
        let here = if in_output { Context::Output } else { Context::Lists };
        let entries = TABLE.iter().filter(|entry| entry.context.overlaps(here));
        entries.map(|entry| entry.action).find(|action| self.keys(*action).contains(&key))
    }

    /// The keys of an action, none where a person has taken them away.
    pub fn keys(&self, action: Action) -> &[Key] {
        self.keys.get(&action).map(Vec::as_slice).unwrap_or_default()
    }

    /// The key to press for it, as text; for one without any, how to find it in the palette.
    pub fn key(&self, action: Action) -> String {
        match (self.keys(action).first(), action.entry()) {
            (Some(key), _) => key.to_string(),
            (None, Some(entry)) => format!(":{}", entry.name),
            (None, None) => String::new(),
        }
    }

    /// Gives an action other keys.
    pub fn set(&mut self, action: Action, keys: Vec<Key>) {
        self.keys.insert(action, keys);
    }
}

impl Default for Keymap {
    /// As in the table.
    fn default() -> Self {
        let keys = |keys: &[&str]| keys.iter().filter_map(|name| name.parse().ok()).collect();
        Self { keys: TABLE.iter().map(|entry| (entry.action, keys(entry.keys))).collect() }
    }
}
