//! The user's settings, `config.yaml`: keys, appearance, mouse and notifications of the screen, and stores of sites.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path as FilePath, PathBuf};

use super::action::{Action, TABLE};
use super::keymap::Keymap;
use super::keys::{KeyCode, KeyPress};
use super::notifications::NotificationSettings;
use super::role_colors::{ColorRole, RoleColors, parse_color};
use super::theme::{AppearanceOptions, ThemeName};
use crate::definition::yaml_file::{
    self, MapEntry, Node, NodeKind, Problem, Problems, ValuePath, closest_name, quoted,
};
use crate::definition::{Diagnostics, Error};
use crate::store::ServerAddress;

/// The settings of `config.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Colours and symbols.
    pub appearance: AppearanceOptions,
    /// Whether to capture the mouse.
    pub mouse: bool,
    /// The key bindings.
    pub keymap: Keymap,
    /// Which desktop notifications to show.
    pub notify: NotificationSettings,
    /// Which servers have sites.
    pub stores: StoreSettings,
}

/// Which servers have sites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSettings {
    /// The address for all sites that are not named.
    default: Option<String>,
    /// The folders of sites, and their addresses.
    of_folders: Vec<(PathBuf, String)>,
}

impl StoreSettings {
    /// The address for the site whose `jobs.yaml` is in this folder.
    pub fn address(&self, folder: &FilePath) -> Option<&str> {
        let named = self.of_folders.iter().find(|(known, _)| known.canonicalize().is_ok_and(|known| known == folder));
        named.map(|(_, url)| &**url).or(self.default.as_deref())
    }
}

/// The known fields.
const FIELDS: [&str; 7] = ["keys", "theme", "colors", "ascii", "mouse", "notify", "store"];

/// Actions of this version: a user may have bound their keys to others before.
const NEW_ACTIONS: [Action; 11] = [
    Action::Fix,
    Action::Reload,
    Action::Timeline,
    Action::History,
    Action::Graph,
    Action::Results,
    Action::Changes,
    Action::Workers,
    Action::Approvals,
    Action::SearchAll,
    Action::Diff,
];

/// An event that can be notified.
#[derive(Clone, Copy)]
enum NotificationKind {
    Failed,
    Drained,
}

/// The names of the notifications.
const NOTIFICATION_NAMES: [(&str, NotificationKind); 2] =
    [("failed", NotificationKind::Failed), ("drained", NotificationKind::Drained)];

impl Default for Config {
    fn default() -> Self {
        Self {
            appearance: AppearanceOptions::default(),
            mouse: true,
            keymap: Keymap::default(),
            notify: NotificationSettings::default(),
            stores: StoreSettings::default(),
        }
    }
}

impl Config {
    /// Reads a file; a missing file sets nothing.
    pub fn read(path: &FilePath) -> Result<Self, Error> {
        Ok(yaml_file::read(path, parse_config)?.unwrap_or_default())
    }

    /// Parses the text of a file that messages call `name`.
    pub fn parse(name: &str, text: &str) -> Result<Self, Diagnostics> {
        yaml_file::parse(name, text, parse_config)
    }
}

fn parse_config(root: &Node<'_>, problems: &mut Problems) -> Config {
    let mut config = Config::default();
    let path = ValuePath::Top;
    let Some(entries) = yaml_file::map(root, &path, "a map of settings", problems) else { return config };
    for entry in entries {
        let path = path.key(&entry.key.text);
        match &*entry.key.text {
            "keys" => parse_bindings(&entry.value, &path, &mut config.keymap, problems),
            "theme" => config.appearance.theme = parse_theme(&entry.value, &path, problems).unwrap_or_default(),
            "colors" => parse_colors(&entry.value, &path, &mut config.appearance.colors, problems),
            "ascii" => config.appearance.ascii = yaml_file::boolean(&entry.value, &path, problems),
            "mouse" => config.mouse = yaml_file::boolean(&entry.value, &path, problems).unwrap_or_default(),
            "store" => config.stores = parse_stores(&entry.value, &path, problems),
            "notify" => config.notify = parse_notifications(&entry.value, &path, problems),
            _ => report_unknown_field(entry, &path, problems),
        }
    }
    config
}

fn report_unknown_field(entry: &MapEntry<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    if entry.key.invalid.is_some() {
        return;
    }
    let problem = Problem::new(entry.key.id, path, format!("unknown field {}", quoted(&entry.key.text)));
    problems.add(match closest_name(&entry.key.text.to_lowercase(), FIELDS.into_iter()) {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem.expected(format!("expected {}", FIELDS.map(|field| format!("`{field}`")).join(", "))),
    });
}

fn parse_theme(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<ThemeName> {
    let named = |name: &'static str| Some((name, name.parse().ok()?));
    let themes: Vec<(&'static str, ThemeName)> = ThemeName::names().filter_map(named).collect();
    yaml_file::keyword(node, path, &themes, problems)
}

/// Reads the colours of roles.
fn parse_colors(node: &Node<'_>, path: &ValuePath<'_>, colors: &mut RoleColors, problems: &mut Problems) {
    if matches!(node.kind, NodeKind::Null) {
        return;
    }
    let Some(entries) = yaml_file::map(node, path, "a map from roles to colours", problems) else { return };
    let names = || ColorRole::ALL.into_iter().map(ColorRole::name);
    for entry in entries.iter().filter(|entry| entry.key.invalid.is_none()) {
        let path = path.key(&entry.key.text);
        let Some(role) = ColorRole::ALL.into_iter().find(|role| role.name() == entry.key.text) else {
            let problem = Problem::new(entry.key.id, &path, format!("unknown role {}", quoted(&entry.key.text)));
            let roles: Vec<String> = names().map(|name| format!("`{name}`")).collect();
            problems.add(match closest_name(&entry.key.text.to_lowercase(), names()) {
                Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
                None => problem.expected(format!("expected {}", roles.join(", "))),
            });
            continue;
        };
        let Some(text) = yaml_file::text(&entry.value, &path, problems) else { continue };
        match parse_color(&text) {
            Ok(color) => colors.set(role, color),
            Err(why) => problems.add(Problem::new(entry.value.id, &path, why.to_string())),
        }
    }
}

/// Reads the address of a store, or a map from the folders of sites to addresses.
fn parse_stores(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> StoreSettings {
    let mut stores = StoreSettings::default();
    match &node.kind {
        NodeKind::Null => {}
        NodeKind::Map(entries) => {
            for entry in entries {
                let path = path.key(&entry.key.text);
                let Some(url) = parse_store(&entry.value, &path, problems) else { continue };
                let folder = match entry.key.text.strip_prefix("~/") {
                    Some(rest) => env::var_os("HOME").map(|home| FilePath::new(&home).join(rest)),
                    None => Some(PathBuf::from(&*entry.key.text)),
                };
                match folder.filter(|folder| folder.is_absolute()) {
                    Some(folder) => stores.of_folders.push((folder, url)),
                    None => problems.add(
                        Problem::new(entry.key.id, &path, "the folder of a site must be absolute")
                            .hint("write it with a leading `/` or `~/`"),
                    ),
                }
            }
        }
        _ => stores.default = parse_store(node, path, problems),
    }
    stores
}

fn parse_store(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<String> {
    let url = yaml_file::text(node, path, problems)?;
    match ServerAddress::parse(&url) {
        Ok(_) => Some(url),
        Err(error) => {
            problems.add(Problem::new(node.id, path, error.to_string()));
            None
        }
    }
}

/// Reads a name or a list of names.
fn parse_notifications(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> NotificationSettings {
    let mut notify = NotificationSettings::default();
    let mut take =
        |node: &Node<'_>, path: &ValuePath<'_>| match yaml_file::keyword(node, path, &NOTIFICATION_NAMES, problems) {
            Some(NotificationKind::Failed) => notify.failed = true,
            Some(NotificationKind::Drained) => notify.drained = true,
            None => {}
        };
    match &node.kind {
        NodeKind::List(items) => items.iter().enumerate().for_each(|(nth, item)| take(item, &path.item(nth))),
        _ => take(node, path),
    }
    notify
}

/// Reads the keys of each action, and reports keys with two meanings.
fn parse_bindings(node: &Node<'_>, path: &ValuePath<'_>, keymap: &mut Keymap, problems: &mut Problems) {
    // `keys:` without a value sets nothing.
    if matches!(node.kind, NodeKind::Null) {
        return;
    }
    let Some(entries) = yaml_file::map(node, path, "a map from actions to keys", problems) else { return };
    let mut places: BTreeMap<(Action, KeyPress), u32> = BTreeMap::new();
    for entry in entries {
        let path = path.key(&entry.key.text);
        let Some(action) = parse_action(entry, &path, problems) else { continue };
        let bound = parse_keys(&entry.value, &path, problems);
        if bound.is_empty() && action == Action::Quit {
            let problem = Problem::new(entry.key.id, &path, "`quit` needs a key");
            problems.add(problem.hint("for example `quit: ^c`"));
        }
        places.extend(bound.iter().map(|(key, id)| ((action, *key), *id)));
        keymap.set(action, bound.into_iter().map(|(key, _)| key).collect());
    }
    // A key of the user is taken from an action that had none in earlier versions.
    for (_, key) in places.keys() {
        for page in NEW_ACTIONS.into_iter().filter(|page| !places.contains_key(&(*page, *key))) {
            let keys: Vec<KeyPress> = keymap.keys(page).iter().filter(|other| *other != key).copied().collect();
            keymap.set(page, keys);
        }
    }
    let mut reported = Vec::new();
    for ((action, key), id) in &places {
        let (Some(name), context) = (action_name(*action), action.entry().map(|entry| entry.context)) else { continue };
        let clashes = |other: Action| {
            let overlaps = other.entry().zip(context).is_some_and(|(entry, here)| entry.context.overlaps(here));
            other != *action && overlaps && keymap.keys(other).contains(key)
        };
        for other in TABLE.iter().map(|entry| entry.action).filter(|other| clashes(*other)) {
            if reported.contains(&(other, *action, *key)) {
                continue;
            }
            reported.push((*action, other, *key));
            let there = action_name(other).unwrap_or_default();
            let message = format!("{} is bound to both `{name}` and `{there}`", quoted(&key.to_string()));
            let problem = Problem::new(*id, &path.key(name), message);
            problems.add(match places.get(&(other, *key)) {
                Some(other) => problem.with_related(*other, "and here"),
                None => problem.hint(format!("bind `{there}` to another key, or to none: `{there}: []`")),
            });
        }
    }
}

fn parse_action(entry: &MapEntry<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Action> {
    if entry.key.invalid.is_some() {
        return None;
    }
    let known = || TABLE.iter().map(|entry| entry.name);
    let found = TABLE.iter().find(|known| known.name == entry.key.text).map(|known| known.action);
    if found.is_none() {
        let typed = entry.key.text.to_lowercase().replace(['_', ' '], "-");
        let problem = Problem::new(entry.key.id, path, format!("unknown action {}", quoted(&entry.key.text)));
        problems.add(match closest_name(&typed, known()) {
            Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
            None => problem.hint("the command palette (`:`) lists all actions"),
        });
    }
    found
}

/// Reads one key, a list or none, each with the id of its node.
fn parse_keys(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Vec<(KeyPress, u32)> {
    let mut one = |node: &Node<'_>, path: &ValuePath<'_>| {
        let text = yaml_file::text(node, path, problems)?;
        match parse_key(&text) {
            Ok(key) => Some((key, node.id)),
            Err(why) => {
                problems.add(Problem::new(node.id, path, why));
                None
            }
        }
    };
    match &node.kind {
        NodeKind::Null => Vec::new(),
        NodeKind::List(items) => {
            let items = items.iter().enumerate();
            items.filter_map(|(nth, item)| one(item, &path.item(nth))).collect()
        }
        _ => one(node, path).into_iter().collect(),
    }
}

/// Parses a key as the terminal reports it.
fn parse_key(text: &str) -> Result<KeyPress, String> {
    let key: KeyPress = text.parse().map_err(|error: super::keys::InvalidKey| error.to_string())?;
    let KeyPress { code: KeyCode::Char(letter), ctrl: true, alt } = key else { return Ok(key) };
    let same = match letter.to_ascii_lowercase() {
        'i' => "Tab",
        'm' => "Enter",
        '[' => "Esc",
        letter => return Ok(KeyPress { code: KeyCode::Char(letter), ctrl: true, alt }),
    };
    Err(format!("terminals report {} as {same}", quoted(text)))
}

fn action_name(action: Action) -> Option<&'static str> {
    action.entry().map(|entry| entry.name)
}
