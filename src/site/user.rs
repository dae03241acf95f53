//! The user on whose behalf this process acts.

use rustix::process::getuid;

use crate::account::Account;

/// The name of the user of this process: that of its account, or `$USER`, or its number.
pub fn user_name() -> String {
    let uid = getuid().as_raw();
    let named = Account::find(uid).map(|account| account.name.to_string_lossy().into_owned());
    let from_environment = || std::env::var("USER").ok().filter(|name| !name.is_empty());
    named.or_else(from_environment).unwrap_or_else(|| format!("user {uid}"))
}
