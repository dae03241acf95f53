//! Completion in bash, which inserts candidates as they are: here they are quoted first.
//!
//! The other shells quote what they insert.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;

use clap_complete::engine;
use clap_complete::env::{Bash, EnvCompleter};

/// The first line of clap's function for bash.
const FIRST_LINE: &str = "local IFS=$'\\013'\n";

/// Bash expands the candidates as patterns for file names, which would undo quoting.
const NO_EXPANSION: &str = "\
    if [[ \"${BASH_VERSINFO[0]}\" -ge 5 || \"${BASH_VERSINFO[0]}${BASH_VERSINFO[1]}\" -eq 44 ]]; then
        local -; set -f
    fi
";

/// Completes in bash like [`Bash`], with quoted candidates.
pub(super) struct QuotingBash;

impl EnvCompleter for QuotingBash {
    fn name(&self) -> &'static str {
        Bash.name()
    }

    fn is(&self, name: &str) -> bool {
        Bash.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let mut script = Vec::new();
        Bash.write_registration(var, name, bin, completer, &mut script)?;
        let script = String::from_utf8_lossy(&script);
        buf.write_all(script.replacen(FIRST_LINE, &format!("{FIRST_LINE}{NO_EXPANSION}"), 1).as_bytes())
    }

    fn write_complete(
        &self,
        cmd: &mut clap::Command,
        mut args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let variable = |name: &str| std::env::var(name).ok();
        let index = variable("_CLAP_COMPLETE_INDEX").and_then(|index| index.parse().ok()).unwrap_or_default();
        let separator = variable("_CLAP_IFS").unwrap_or_else(|| "\n".to_owned());
        let typed = args.get(index).map(|word: &OsString| word.to_string_lossy().into_owned()).unwrap_or_default();
        let plain = unquote(&typed);
        if let Some(word) = args.get_mut(index) {
            *word = OsString::from(&plain);
        }
        let candidates = engine::complete(cmd, args, index, current_dir)?;
        let quoted: Vec<String> =
            candidates.iter().filter_map(|candidate| quote(candidate.get_value(), &typed, &plain)).collect();
        write!(buf, "{}", quoted.join(&separator))
    }
}

/// A word as the program would get it: without the backslashes that quote a character.
fn unquote(typed: &str) -> String {
    let mut plain = String::with_capacity(typed.len());
    let mut characters = typed.chars();
    while let Some(character) = characters.next() {
        match character {
            // One at the end quotes nothing yet.
            '\\' => plain.extend(characters.next()),
            other => plain.push(other),
        }
    }
    plain
}

/// Quotes a candidate, except for the part that is `typed` already, which means `plain`. Control characters can't be quoted with a backslash:
/// such a candidate is left out.
fn quote(candidate: &OsStr, typed: &str, plain: &str) -> Option<String> {
    let candidate = candidate.to_str()?;
    if candidate.contains(char::is_control) {
        return None;
    }
    let (typed, rest) = candidate.strip_prefix(plain).map_or(("", candidate), |rest| (typed, rest));
    let mut quoted = typed.to_owned();
    for character in rest.chars() {
        if !is_plain(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    Some(quoted)
}

/// Whether a character has no meaning to bash. Characters beyond ASCII have none.
fn is_plain(character: char) -> bool {
    !character.is_ascii() || character.is_ascii_alphanumeric() || "%+,-./:=@_".contains(character)
}
