//! The user on whose behalf this process acts.

use std::fs;

use rustix::process::getuid;

/// The name of the user of this process, or its number if it has no name. Read from the file, because a static binary
/// can't ask the system's name service; then from `$USER`.
pub fn user_name() -> String {
    let uid = getuid().as_raw();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut lines = users.lines().map(|line| line.split(':'));
    let named = lines.find_map(|mut fields| {
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    });
    let from_environment = || std::env::var("USER").ok().filter(|name| !name.is_empty());
    named.or_else(from_environment).unwrap_or_else(|| format!("user {uid}"))
}
