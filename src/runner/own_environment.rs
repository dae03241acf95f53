//! The environment of this process, and that of a login.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit, getuid};

use super::limits::LIMITS;
use crate::account::Account;
use crate::model::Environment;

/// Variables that belong to a process or its shell, not to its user: jobs don't get them.
const OWN_VARIABLES: [&str; 4] = ["PWD", "OLDPWD", "SHLVL", "_"];

/// Variables by which a service manager talks to a service: jobs never inherit them.
pub(super) const SERVICE_VARIABLES: [&str; 12] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    "MAINPID",
    "MANAGERPID",
    "SYSTEMD_EXEC_PID",
    "MEMORY_PRESSURE_WATCH",
];

/// The umask of a login.
const LOGIN_UMASK: u32 = 0o022;
const LOGIN_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment of this process, without the variables `hidden` and those that only matter to itself.
pub fn own_environment(hidden: &[&str]) -> Environment {
    let is_passed = |name: &OsStr| {
        let excluded = OWN_VARIABLES.iter().chain(&SERVICE_VARIABLES).chain(hidden);
        !excluded.into_iter().any(|excluded| name == *excluded)
    };
    // A string without `=` is no variable.
    let variables = env::vars_os().filter(|(name, _)| !name.is_empty() && is_passed(name)).collect();
    let limit = |(name, resource): (&str, Resource)| (name.to_owned(), getrlimit(resource).current);
    Environment { variables, umask: own_umask(), soft_limits: LIMITS.into_iter().map(limit).collect() }
}

/// The environment of a login of the user: always the same, whatever this process has.
pub fn login_environment() -> Environment {
    let mut variables: BTreeMap<OsString, OsString> = BTreeMap::new();
    let mut set = |name: &str, value: &OsStr| drop(variables.insert(name.into(), value.to_owned()));
    let user = own_account();
    set("HOME", &user.home);
    set("USER", &user.name);
    set("LOGNAME", &user.name);
    set("SHELL", if user.shell.is_empty() { "/bin/sh".as_ref() } else { &user.shell });
    set("PATH", LOGIN_PATH.as_ref());
    let runtime = format!("/run/user/{}", getuid().as_raw());
    if Path::new(&runtime).is_dir() {
        set("XDG_RUNTIME_DIR", runtime.as_ref());
    }
    // What a login reads on Debian and Fedora.
    for file in ["/etc/locale.conf", "/etc/default/locale", "/etc/environment"] {
        for (name, value) in assignments(&fs::read_to_string(file).unwrap_or_default()) {
            set(name, value.as_ref());
        }
    }
    Environment { variables: variables.into_iter().collect(), umask: Some(LOGIN_UMASK), soft_limits: Vec::new() }
}

/// The lines `NAME=value` of a file, with or without quotes.
fn assignments(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let (name, value) = line.trim().split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = name.strip_prefix("export ").unwrap_or(name);
        (!name.is_empty() && name.chars().all(is_name) && !value.contains('\0')).then_some((name, value))
    })
}

/// The account of the user of this process; where it is not found, what this process knows of it.
fn own_account() -> Account {
    let uid = getuid().as_raw();
    let variable = |name: &str, default: &str| env::var_os(name).unwrap_or_else(|| default.into());
    Account::find(uid).unwrap_or_else(|| Account {
        name: variable("USER", &uid.to_string()),
        home: variable("HOME", "/"),
        shell: variable("SHELL", ""),
    })
}

/// The umask of this process, where it can be read without changing it.
fn own_umask() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(mask.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_has_the_variables_of_the_system_and_not_of_this_process() {
        let login = login_environment();
        for name in ["HOME", "USER", "LOGNAME", "SHELL", "PATH"] {
            assert!(login.get(name).is_some_and(|value| !value.is_empty()), "{name}");
        }
        assert_eq!(login.get("CARGO_MANIFEST_DIR"), None);
        assert_eq!(login, login_environment());
    }

    #[test]
    fn assignments_of_a_login_may_be_quoted() {
        let text = "# PATH=no\nLANG=\"de_DE.UTF-8\"\nexport TZ='Asia/Tokyo'\nA B=1\n\n=x\n";
        assert_eq!(assignments(text).collect::<Vec<_>>(), [("LANG", "de_DE.UTF-8"), ("TZ", "Asia/Tokyo")]);
    }

    #[test]
    fn what_only_matters_to_this_process_is_not_passed_on() {
        let own = own_environment(&["PATH"]);
        assert_eq!((own.get("PATH"), own.get("PWD"), own.get("_")), (None, None, None));
        assert!(own.variables.len() > 1 && own.soft_limits.iter().any(|(name, _)| name == "nofile"));
    }
}
