//! The accounts of `/etc/passwd`, read from the file because a static binary can't ask the system's name service.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// The account of a user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: OsString,
    pub(crate) home: OsString,
    /// Empty for the default, `/bin/sh`.
    pub(crate) shell: OsString,
}

impl Account {
    /// The account of the user with this number; `None` if it is not in the file, but in a directory service for example.
    pub(crate) fn find(uid: u32) -> Option<Self> {
        Self::find_in(&fs::read("/etc/passwd").ok()?, uid)
    }

    fn find_in(accounts: &[u8], uid: u32) -> Option<Self> {
        let lines = accounts.split(|byte| *byte == b'\n');
        let mut entries = lines.map(|line| line.split(|byte| *byte == b':').collect::<Vec<_>>());
        let own = entries.find(|fields| fields.len() == 7 && fields[2] == uid.to_string().as_bytes())?;
        let text = |field: usize| OsStr::from_bytes(own[field]).to_owned();
        Some(Self { name: text(0), home: text(5), shell: text(6) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_number() {
        let accounts = b"# none\nroot:x:0:0:root:/root:/bin/bash\nbroken:x:7\nada:x:7:7:Ada,,,:/home/ada:\n";
        let ada = Account { name: "ada".into(), home: "/home/ada".into(), shell: "".into() };
        assert_eq!(Account::find_in(accounts, 7), Some(ada));
        assert_eq!(Account::find_in(accounts, 70), None);
    }
}
