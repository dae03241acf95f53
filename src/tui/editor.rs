//! Opens the editor that the person has chosen.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::definition;

use super::wake::Spot;

/// Editors that are told the line as `+12 FILE`.
const PLUS: [&str; 15] = [
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
/// Editors that are told the line as `FILE:12`, after these options.
const COLON: [(&str, &[&str]); 6] = [
    ("hx", &[]),
    ("helix", &[]),
    ("subl", &["--wait"]),
    ("zed", &["--wait"]),
    ("code", &["--wait", "--goto"]),
    ("codium", &["--wait", "--goto"]),
];

/// Edits `file` at a spot and returns when the editor is closed. The error says what went wrong.
pub(super) fn edit(file: &Path, spot: &Spot) -> Result<(), String> {
    let chosen = ["VISUAL", "EDITOR"].into_iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
    let editor = chosen.unwrap_or_else(|| OsString::from("vi"));
    let shown = editor.to_string_lossy().into_owned();
    // The variable may hold options, so the shell takes it apart, as every other program does.
    let mut script = editor;
    script.push(" \"$@\"");
    let status = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg("sh")
        .args(arguments(&shown, file, line(file, spot)))
        .status()
        .map_err(|error| format!("the editor could not be started: {error}"))?;
    match status.code() {
        Some(127) => Err(format!("there is no editor {shown:?}; set $EDITOR to one")),
        _ if status.success() => Ok(()),
        _ => Err(format!("{shown} ended with {status}")),
    }
}

fn line(file: &Path, spot: &Spot) -> Option<usize> {
    match spot {
        Spot::Top => None,
        Spot::Line(line) => Some(*line),
        Spot::Job { queue, name } => definition::line_of(&fs::read_to_string(file).ok()?, queue.as_str(), name),
    }
}

fn arguments(editor: &str, file: &Path, line: Option<usize>) -> Vec<OsString> {
    let program = editor.split_whitespace().next().unwrap_or_default();
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let Some(line) = line else { return vec![file.into()] };
    if PLUS.contains(&name.as_ref()) {
        return vec![format!("+{line}").into(), file.into()];
    }
    match COLON.iter().find(|(known, _)| *known == name) {
        Some((_, options)) => {
            let mut place = OsString::from(file);
            place.push(format!(":{line}"));
            options.iter().map(OsString::from).chain([place]).collect()
        }
        // An editor that nobody knows may take the line for another file.
        None => vec![file.into()],
    }
}
