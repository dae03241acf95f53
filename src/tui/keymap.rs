//! The key bindings: those of the action table, changed by the user's settings.

use std::collections::BTreeMap;

use super::action::{Action, Context, TABLE};
use super::keys::KeyPress;

/// The keys of every action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    keys: BTreeMap<Action, Vec<KeyPress>>,
}

impl Keymap {
    /// The action of `key` while a list, or else the output, has the focus.
    pub fn action(&self, key: KeyPress, in_output: bool) -> Option<Action> {
        let here = if in_output { Context::Output } else { Context::Lists };
        let entries = TABLE.iter().filter(|entry| entry.context.overlaps(here));
        entries.map(|entry| entry.action).find(|action| self.keys(*action).contains(&key))
    }

    /// The keys of an action.
    pub fn keys(&self, action: Action) -> &[KeyPress] {
        self.keys.get(&action).map(Vec::as_slice).unwrap_or_default()
    }

    /// The first key of an action, as text; without a key, how to find the action in the command palette.
    pub fn key(&self, action: Action) -> String {
        match (self.keys(action).first(), action.entry()) {
            (Some(key), _) => key.to_string(),
            (None, Some(entry)) => format!(":{}", entry.name),
            (None, None) => String::new(),
        }
    }

    /// Sets the keys of an action.
    pub fn set(&mut self, action: Action, keys: Vec<KeyPress>) {
        self.keys.insert(action, keys);
    }
}

impl Default for Keymap {
    /// The keys of the action table.
    fn default() -> Self {
        let keys = |keys: &[&str]| keys.iter().filter_map(|name| name.parse().ok()).collect();
        Self { keys: TABLE.iter().map(|entry| (entry.action, keys(entry.keys))).collect() }
    }
}
