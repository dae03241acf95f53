//! A person's own settings of the screen: `config.yaml` with keys, looks and the mouse.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use super::action::{Action, TABLE};
use super::keymap::Keymap;
use super::keys::{Code, Key};
use super::notify::Notify;
use super::theme::{Taste, ThemeName};
use crate::definition::document::{self, Entry, Kind, Node, Path, Problem, Problems, closest, quoted};
use crate::definition::{Diagnostics, Error};

/// What a person has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Colours and signs.
    pub taste: Taste,
    /// Whether the mouse is ours while the screen is open.
    pub mouse: bool,
    /// Which key does what.
    pub keymap: Keymap,
    /// What the terminal tells.
    pub notify: Notify,
}

/// The fields that there are.
const FIELDS: [&str; 5] = ["keys", "theme", "ascii", "mouse", "notify"];

/// What the terminal may tell.
#[derive(Clone, Copy)]
enum Notice {
    Failed,
    Drained,
}

/// It in words.
const NOTICES: [(&str, Notice); 2] = [("failed", Notice::Failed), ("drained", Notice::Drained)];

impl Default for Config {
    fn default() -> Self {
        Self { taste: Taste::default(), mouse: true, keymap: Keymap::default(), notify: Notify::default() }
    }
}

impl Config {
    /// Reads a file; where there is none, nothing is set.
    pub fn read(path: &FilePath) -> Result<Self, Error> {
        Ok(document::read(path, check)?.unwrap_or_default())
    }

    /// Checks the text of a file called `name` in messages.
    pub fn parse(name: &str, text: &str) -> Result<Self, Diagnostics> {
        document::parse(name, text, check)
    }
}

fn check(root: &Node<'_>, problems: &mut Problems) -> Config {
    let mut config = Config::default();
    let path = Path::Top;
    let Some(entries) = document::map(root, &path, "a map of settings", problems) else { return config };
    for entry in entries {
        let path = path.key(&entry.key.text);
        match &*entry.key.text {
            "keys" => keys(&entry.value, &path, &mut config.keymap, problems),
            "theme" => config.taste.theme = theme(&entry.value, &path, problems).unwrap_or_default(),
            "ascii" => config.taste.ascii = document::flag(&entry.value, &path, problems),
            "mouse" => config.mouse = document::flag(&entry.value, &path, problems).unwrap_or_default(),
            "notify" => config.notify = notify(&entry.value, &path, problems),
            _ => unknown(entry, &path, problems),
        }
    }
    config
}

fn unknown(entry: &Entry<'_>, path: &Path<'_>, problems: &mut Problems) {
    if entry.key.unfit.is_some() {
        return;
    }
    let problem = Problem::new(entry.key.id, path, format!("unknown field {}", quoted(&entry.key.text)));
    problems.add(match closest(&entry.key.text.to_lowercase(), FIELDS.into_iter()) {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem.expected(format!("expected {}", FIELDS.map(|field| format!("`{field}`")).join(", "))),
    });
}

fn theme(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<ThemeName> {
    let named = |name: &'static str| Some((name, name.parse().ok()?));
    let themes: Vec<(&'static str, ThemeName)> = ThemeName::names().filter_map(named).collect();
    document::word(node, path, &themes, problems)
}

/// One word or a list of them.
fn notify(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Notify {
    let mut notify = Notify::default();
    let mut take = |node: &Node<'_>, path: &Path<'_>| match document::word(node, path, &NOTICES, problems) {
        Some(Notice::Failed) => notify.failed = true,
        Some(Notice::Drained) => notify.drained = true,
        None => {}
    };
    match &node.kind {
        Kind::List(items) => items.iter().enumerate().for_each(|(nth, item)| take(item, &path.item(nth))),
        _ => take(node, path),
    }
    notify
}

/// Reads the keys of each action, and sees to it that none means two things.
fn keys(node: &Node<'_>, path: &Path<'_>, keymap: &mut Keymap, problems: &mut Problems) {
    // Nothing is set under a key without a value.
    if matches!(node.kind, Kind::Null) {
        return;
    }
    let Some(entries) = document::map(node, path, "a map from actions to keys", problems) else { return };
    let mut places: BTreeMap<(Action, Key), u32> = BTreeMap::new();
    for entry in entries {
        let path = path.key(&entry.key.text);
        let Some(action) = action(entry, &path, problems) else { continue };
        let chosen = chosen(&entry.value, &path, problems);
        if chosen.is_empty() && action == Action::Quit {
            let problem = Problem::new(entry.key.id, &path, "without a key for `quit` there is no way out");
            problems.add(problem.hint("`quit: ^c` leaves one"));
        }
        places.extend(chosen.iter().map(|(key, id)| ((action, *key), *id)));
        keymap.set(action, chosen.into_iter().map(|(key, _)| key).collect());
    }
    let mut told = Vec::new();
    for ((action, key), id) in &places {
        let (Some(name), context) = (name(*action), action.entry().map(|entry| entry.context)) else { continue };
        let clashes = |other: Action| {
            let meets = other.entry().zip(context).is_some_and(|(entry, here)| entry.context.overlaps(here));
            other != *action && meets && keymap.keys(other).contains(key)
        };
        for other in TABLE.iter().map(|entry| entry.action).filter(|other| clashes(*other)) {
            if told.contains(&(other, *action, *key)) {
                continue;
            }
            told.push((*action, other, *key));
            let there = self::name(other).unwrap_or_default();
            let message = format!("{} is the key of `{name}` and of `{there}`", quoted(&key.to_string()));
            let problem = Problem::new(*id, &path.key(name), message);
            problems.add(match places.get(&(other, *key)) {
                Some(other) => problem.also(*other, "here, too"),
                None => problem.hint(format!("give `{there}` another one, or none: `{there}: []`")),
            });
        }
    }
}

fn action(entry: &Entry<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Action> {
    if entry.key.unfit.is_some() {
        return None;
    }
    let known = || TABLE.iter().map(|entry| entry.name);
    let found = TABLE.iter().find(|known| known.name == entry.key.text).map(|known| known.action);
    if found.is_none() {
        let typed = entry.key.text.to_lowercase().replace(['_', ' '], "-");
        let problem = Problem::new(entry.key.id, path, format!("there is no action {}", quoted(&entry.key.text)));
        problems.add(match closest(&typed, known()) {
            Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
            None => problem.hint("the palette (`:`) knows the names of all actions"),
        });
    }
    found
}

/// The keys that are written, each with the number of its value: one, a list, or none at all.
fn chosen(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Vec<(Key, u32)> {
    let mut one = |node: &Node<'_>, path: &Path<'_>| {
        let text = document::text(node, path, problems)?;
        match read_key(&text) {
            Ok(key) => Some((key, node.id)),
            Err(why) => {
                problems.add(Problem::new(node.id, path, why));
                None
            }
        }
    };
    match &node.kind {
        Kind::Null => Vec::new(),
        Kind::List(items) => {
            let items = items.iter().enumerate();
            items.filter_map(|(nth, item)| one(item, &path.item(nth))).collect()
        }
        _ => one(node, path).into_iter().collect(),
    }
}

/// A key as the terminal will report it.
fn read_key(text: &str) -> Result<Key, String> {
    let key: Key = text.parse().map_err(|error: super::keys::NoKey| error.to_string())?;
    let Key { code: Code::Char(letter), ctrl: true, alt } = key else { return Ok(key) };
    let same = match letter.to_ascii_lowercase() {
        'i' => "Tab",
        'm' => "Enter",
        '[' => "Esc",
        letter => return Ok(Key { code: Code::Char(letter), ctrl: true, alt }),
    };
    Err(format!("terminals can't tell {} from {same}", quoted(text)))
}

fn name(action: Action) -> Option<&'static str> {
    action.entry().map(|entry| entry.name)
}
