//! The password file of libpq: `~/.pgpass` or `$PGPASSFILE`.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The longest file that is read.
const MAX_SIZE: u64 = 1 << 20;

/// What a password is for.
pub(super) struct PasswordOwner<'a> {
    /// The name of the server, or the folder of its socket.
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// The password of an account, or a warning about a file that is not used.
pub(super) fn find(account: &PasswordOwner<'_>) -> Result<Option<String>, String> {
    let named = env::var_os("PGPASSFILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let own = || env::var_os("HOME").filter(|home| !home.is_empty()).map(|home| Path::new(&home).join(".pgpass"));
    let Some(path) = named.or_else(own) else { return Ok(None) };
    let Ok(metadata) = fs::metadata(&path) else { return Ok(None) };
    if !metadata.is_file() {
        return Err(format!("the password file {} is not used: it is not a plain file", path.display()));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(format!(
            "the password file {} is not used, because others can read or write it; `chmod 0600` it",
            path.display()
        ));
    }
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_SIZE).read_to_string(&mut text));
    read.map_err(|error| format!("the password file {} can't be read: {error}", path.display()))?;
    Ok(text.lines().find_map(|line| password_for(line, account)))
}

/// The password in a line `host:port:database:user:password`, if it is for this account. `*` stands for everything.
fn password_for(line: &str, account: &PasswordOwner<'_>) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let (fields, password) = split(line)?;
    let port = account.port.to_string();
    // A socket in the usual folder is found as `localhost`.
    let is_usual_socket = matches!(account.host, "/tmp" | "/run/postgresql" | "/var/run/postgresql");
    let wanted = [account.host, &port, account.database, account.user];
    let is_match = |(nth, (field, wanted)): (usize, (&String, &&str))| {
        field == "*" || field == wanted || nth == 0 && is_usual_socket && field == "localhost"
    };
    fields.iter().zip(&wanted).enumerate().all(is_match).then_some(password)
}

/// The four fields of a line, and the rest. A backslash takes the next character as it is.
fn split(line: &str) -> Option<([String; 4], String)> {
    let mut fields: [String; 4] = Default::default();
    let mut chars = line.chars();
    for field in &mut fields {
        loop {
            match chars.next()? {
                ':' => break,
                '\\' => field.push(chars.next()?),
                c => field.push(c),
            }
        }
    }
    let mut password = String::new();
    while let Some(c) = chars.next() {
        password.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    Some((fields, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_for_an_account_if_all_of_its_fields_are() {
        let account = PasswordOwner { host: "db.example", port: 5432, database: "jobs", user: "me" };
        let found = |line| password_for(line, &account);
        assert_eq!(found("db.example:5432:jobs:me:a\\:b\\\\c").as_deref(), Some("a:b\\c"));
        assert_eq!(found("*:*:*:me:x:y").as_deref(), Some("x:y"));
        for line in ["# *:*:*:*:x", "*:*:*:you:x", "db.example:5433:jobs:me:x", "too:few", ""] {
            assert_eq!(found(line), None, "{line}");
        }
        let socket = PasswordOwner { host: "/run/postgresql", ..account };
        assert_eq!(password_for("localhost:*:*:*:x", &socket).as_deref(), Some("x"));
    }
}
