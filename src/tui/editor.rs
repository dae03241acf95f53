//! Opens the user's editor.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::definition;

use super::effect::EditorPosition;

/// Editors that take the line as `+12 FILE`.
const PLUS_EDITORS: [&str; 15] = [
    "vi",
    "vim",
    "nvim",
    "view",
    "nano",
    "pico",
    "emacs",
    "emacsclient",
    "micro",
    "kak",
    "joe",
    "jed",
    "mg",
    "ne",
    "vis",
];
/// Editors that take the line as `FILE:12`, after these options.
const COLON_EDITORS: [(&str, &[&str]); 6] = [
    ("hx", &[]),
    ("helix", &[]),
    ("subl", &["--wait"]),
    ("zed", &["--wait"]),
    ("code", &["--wait", "--goto"]),
    ("codium", &["--wait", "--goto"]),
];

/// Edits `file` at a position and returns when the editor is closed.
pub(super) fn edit(file: &Path, position: &EditorPosition) -> Result<(), String> {
    let configured = ["VISUAL", "EDITOR"].into_iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
    let editor = configured.unwrap_or_else(|| OsString::from("vi"));
    let shown = editor.to_string_lossy().into_owned();
    let place = place_of(file, position);
    // The variable may hold options, so the shell splits it, as in other programs.
    let mut script = editor;
    script.push(" \"$@\"");
    let status = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg("sh")
        .args(arguments(&shown, &place.0, place.1))
        .status()
        .map_err(|error| format!("Can't start the editor: {error}"))?;
    match status.code() {
        Some(127) => Err(format!("Editor {shown:?} not found. Set $EDITOR to an editor.")),
        _ if status.success() => Ok(()),
        _ => Err(format!("{shown} failed: {status}")),
    }
}

/// The file to open, which may be an included one, and the line.
fn place_of(file: &Path, position: &EditorPosition) -> (PathBuf, Option<usize>) {
    let found = match position {
        EditorPosition::Top => None,
        EditorPosition::Line(line) => return (file.to_owned(), Some(*line)),
        EditorPosition::Included { file, line } => return (file.clone(), Some(*line)),
        EditorPosition::Job { queue, name } => definition::place_in_file(file, queue.as_str(), name),
        EditorPosition::Field { queue, name, field } => {
            // A job has either a command or a script.
            let fields: &[&[&str]] = if *field == ["command"] { &[&["command"], &["run"]] } else { &[field] };
            let entry = definition::place_in_file(file, queue.as_str(), name);
            let places = fields.iter().map(|field| definition::field_place_in_file(file, queue.as_str(), name, field));
            places.flatten().find(|place| Some(place) != entry.as_ref()).or(entry)
        }
    };
    found.map_or_else(|| (file.to_owned(), None), |(file, line)| (file, Some(line)))
}

fn arguments(editor: &str, file: &Path, line: Option<usize>) -> Vec<OsString> {
    let program = editor.split_whitespace().next().unwrap_or_default();
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let Some(line) = line else { return vec![file.into()] };
    if PLUS_EDITORS.contains(&name.as_ref()) {
        return vec![format!("+{line}").into(), file.into()];
    }
    match COLON_EDITORS.iter().find(|(known, _)| *known == name) {
        Some((_, options)) => {
            let mut argument = OsString::from(file);
            argument.push(format!(":{line}"));
            options.iter().map(OsString::from).chain([argument]).collect()
        }
        // An unknown editor may treat the line as a file name.
        None => vec![file.into()],
    }
}
