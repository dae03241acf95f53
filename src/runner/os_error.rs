//! Operating-system errors as parts of messages.

use std::io;

/// The operating system's reason, in lower case and without the error number: `no such file or directory`.
pub(super) fn describe_os_error(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
