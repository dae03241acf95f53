//! The address of a site on a `PostgreSQL` server: `postgres://USER@HOST/DATABASE?site=NAME`.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use postgres::Config;

/// How long connecting may take, for each address of the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Which site, on which server. It is displayed without a password.
#[derive(Clone, Debug)]
pub struct ServerAddress {
    config: Config,
    site: String,
    url: String,
}

/// A text is not the address of a site on a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// It has another scheme.
    #[error("`{0}` is not the address of a store: it has to start with `postgres://`")]
    Scheme(String),
    /// It holds a password, which other users would see in the list of processes.
    #[error("the address of a store must not contain a password: set `PGPASSWORD` instead")]
    Password,
    /// It names no site, or one that can't be stored.
    #[error(
        "the address of a store names its site: add `?site=NAME`, with a name of letters, digits, `.`, `_` and `-`"
    )]
    Site,
    /// The client does not understand it.
    #[error("invalid address of a store: {0}")]
    Other(String),
}

impl ServerAddress {
    /// Parses an address. The password is that of the variable `PGPASSWORD`.
    pub fn parse(url: &str) -> Result<Self, InvalidAddress> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| InvalidAddress::Scheme(url.split(':').next().unwrap_or(url).to_owned()))?;
        let (server, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (sites, others): (Vec<&str>, Vec<&str>) =
            query.split('&').filter(|parameter| !parameter.is_empty()).partition(|part| part.starts_with("site="));
        let site = sites.first().and_then(|site| site.strip_prefix("site=")).unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if site.is_empty() || sites.len() > 1 || !site.chars().all(is_plain) {
            return Err(InvalidAddress::Site);
        }
        let separator = if others.is_empty() { "" } else { "?" };
        let without_site = format!("postgres://{server}{separator}{}", others.join("&"));
        let mut config: Config =
            without_site.parse().map_err(|error: postgres::Error| InvalidAddress::Other(describe(&error)))?;
        if config.get_password().is_some() {
            return Err(InvalidAddress::Password);
        }
        if let Ok(password) = env::var("PGPASSWORD") {
            config.password(password);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("setlist");
        }
        Ok(Self { config, site: site.to_owned(), url: url.to_owned() })
    }

    /// The name of the site.
    pub fn site(&self) -> &str {
        &self.site
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}

impl Display for ServerAddress {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// An error of the client with all that is known about it. Its own message only names the kind.
pub(super) fn describe(error: &postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_server_and_a_site_but_no_password() {
        let address = ServerAddress::parse("postgres://me@db.example:5433/jobs?site=backup&connect_timeout=3").unwrap();
        assert_eq!((address.site(), address.config().get_ports()), ("backup", &[5433][..]));
        assert_eq!(address.config().get_connect_timeout(), Some(&Duration::from_secs(3)));
        let refused = |url| ServerAddress::parse(url).unwrap_err();
        assert_eq!(refused("postgres://me:secret@db/jobs?site=a"), InvalidAddress::Password);
        assert_eq!(refused("postgres://me@db/jobs?password=secret&site=a"), InvalidAddress::Password);
        for url in ["postgres://db/jobs", "postgres://db/jobs?site=", "postgres://db/jobs?site=a%20b"] {
            assert_eq!(refused(url), InvalidAddress::Site, "{url}");
        }
        assert_eq!(refused("mysql://db?site=a"), InvalidAddress::Scheme("mysql".to_owned()));
        assert!(matches!(refused("postgres://db/jobs?sitting=a&site=b"), InvalidAddress::Other(_)));
    }
}
