//! The address of a site on a `PostgreSQL` server: `postgres://USER@HOST/DATABASE?site=NAME`.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::time::Duration;

use postgres::Config;
use postgres::config::{Host, TargetSessionAttrs};

use super::password_file::{self, PasswordOwner};
use super::service_file;
use super::tls::{SslMode, Tls};

/// The port of a server whose address has none.
const USUAL_PORT: u16 = 5432;

/// How long connecting may take, for each address of the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a silent connection is not checked, by default of the client and here.
const USUAL_KEEPALIVES_IDLE: Duration = Duration::from_secs(2 * 60 * 60);
const KEEPALIVES_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(10);
/// How long what was sent may remain unacknowledged.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Which site, on which server. It is displayed without a password.
#[derive(Clone, Debug)]
pub struct ServerAddress {
    config: Config,
    encryption: Encryption,
    site: String,
    url: String,
    /// Why a password file is not used.
    warning: Option<String>,
}

/// How connections are encrypted.
#[derive(Clone, Debug, Default)]
struct Encryption {
    mode: SslMode,
    root_certificates: Option<String>,
}

/// The parameters of an address that the client does not know.
#[derive(Default)]
struct OwnParameters {
    sites: Vec<String>,
    service: Option<String>,
    ssl_mode: Option<String>,
    root_certificates: Option<String>,
}

/// A text is not the address of a site on a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// It has another scheme.
    #[error("`{0}` is not the address of a store: it has to start with `postgres://`")]
    Scheme(String),
    /// It holds a password, which other users would see in the list of processes.
    #[error(
        "the address of a store must not contain a password: set `PGPASSWORD`, or use a password file (`~/.pgpass`)"
    )]
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
    /// Parses an address. What it doesn't say comes from the service file if there is a `service`, and from variables as
    /// of libpq: `PGSERVICE`, `PGSSLMODE`, `PGSSLROOTCERT`, and the password from `PGPASSWORD` or a password file.
    pub fn parse(url: &str) -> Result<Self, InvalidAddress> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| InvalidAddress::Scheme(url.split(':').next().unwrap_or(url).to_owned()))?;
        let (server, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut own = OwnParameters::default();
        let others: Vec<&str> = query.split('&').filter(|part| !part.is_empty() && !own.take(part)).collect();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let site = match &own.sites[..] {
            [site] if !site.is_empty() && site.chars().all(is_plain) => site.clone(),
            _ => return Err(InvalidAddress::Site),
        };
        let separator = if others.is_empty() { "" } else { "?" };
        let without_own = format!("postgres://{server}{separator}{}", others.join("&"));
        let mut config: Config =
            without_own.parse().map_err(|error: postgres::Error| InvalidAddress::Other(describe(&error)))?;
        if config.get_password().is_some() {
            return Err(InvalidAddress::Password);
        }
        if let Some(service) = own.service.take().or_else(|| variable("PGSERVICE")) {
            own.add_service(&service, &mut config)?;
        }
        let warning = add_password(&mut config);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("setlist");
        }
        set_limits(&mut config);
        let encryption = own.encryption(&config)?;
        config.ssl_mode(encryption.mode.negotiation());
        Ok(Self { config, encryption, site, url: url.to_owned(), warning })
    }

    /// Why a password file is not used, which is worth a warning.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// The name of the site.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The name of the server, or the folder of its socket, for messages.
    pub fn host(&self) -> String {
        first_host(&self.config)
    }

    /// The server and the database, for messages.
    pub fn place(&self) -> String {
        let ports = self.config.get_ports();
        let place = |(nth, host): (usize, &Host)| {
            let port = ports.get(nth).or_else(|| ports.first()).copied().unwrap_or(USUAL_PORT);
            match host {
                Host::Tcp(name) if name.contains(':') => format!("[{name}]:{port}"),
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(folder) => folder.join(format!(".s.PGSQL.{port}")).display().to_string(),
            }
        };
        let hosts: Vec<String> = self.config.get_hosts().iter().enumerate().map(place).collect();
        format!("PostgreSQL at {}, database {}", hosts.join(" or "), self.database())
    }

    /// The user that connects.
    pub(super) fn user(&self) -> String {
        self.config.get_user().map(str::to_owned).or_else(|| variable("USER")).unwrap_or_default()
    }

    /// The database: without a name, the one that is called like the user.
    pub(super) fn database(&self) -> String {
        self.config.get_dbname().map_or_else(|| self.user(), str::to_owned)
    }

    /// The file of root certificates, or `system`.
    pub(super) fn root_certificates(&self) -> Option<&str> {
        self.encryption.root_certificates.as_deref()
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// How to encrypt connections; `None` if they are not. The error says what is wrong with the root certificates.
    pub(super) fn tls(&self) -> Result<Option<Tls>, String> {
        let Encryption { mode, root_certificates } = &self.encryption;
        if *mode == SslMode::Disable { Ok(None) } else { Tls::new(*mode, root_certificates.as_deref()).map(Some) }
    }
}

impl OwnParameters {
    /// Takes a parameter `name=value` of an address. Returns whether it is one of these.
    fn take(&mut self, parameter: &str) -> bool {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = percent_decoded(value);
        match name {
            "site" => self.sites.push(value),
            "service" => self.service = Some(value),
            "sslmode" => self.ssl_mode = Some(value),
            "sslrootcert" => self.root_certificates = Some(value),
            _ => return false,
        }
        true
    }

    /// Adds what a service says and the address doesn't.
    fn add_service(&mut self, service: &str, config: &mut Config) -> Result<(), InvalidAddress> {
        let (has_host, has_port) = (!config.get_hosts().is_empty(), !config.get_ports().is_empty());
        for (name, value) in service_file::parameters(service).map_err(InvalidAddress::Other)? {
            match &*name {
                "host" | "hostaddr" if !has_host => _ = config.host(&value),
                "port" if !has_port => {
                    let port = value.parse();
                    config
                        .port(port.map_err(|_| InvalidAddress::Other(format!("invalid port {value:?} of a service")))?);
                }
                "dbname" if config.get_dbname().is_none() => _ = config.dbname(&value),
                "user" if config.get_user().is_none() => _ = config.user(&value),
                "password" => _ = config.password(&value),
                "options" if config.get_options().is_none() => _ = config.options(&value),
                "application_name" if config.get_application_name().is_none() => _ = config.application_name(&value),
                "sslmode" => _ = self.ssl_mode.get_or_insert(value),
                "sslrootcert" => _ = self.root_certificates.get_or_insert(value),
                _ => {}
            }
        }
        Ok(())
    }

    fn encryption(self, config: &Config) -> Result<Encryption, InvalidAddress> {
        let is_socket = |host: &Host| matches!(host, Host::Unix(_));
        if config.get_hosts().iter().all(is_socket) {
            // As libpq does: the connection doesn't leave the machine.
            return Ok(Encryption { mode: SslMode::Disable, root_certificates: None });
        }
        let mode = match self.ssl_mode.or_else(|| variable("PGSSLMODE")) {
            None => SslMode::default(),
            Some(mode) => SslMode::parse(&mode).ok_or_else(|| {
                let modes = "`disable`, `prefer`, `require`, `verify-ca` or `verify-full`";
                InvalidAddress::Other(format!("invalid sslmode `{mode}`: expected {modes}"))
            })?,
        };
        let usual = || {
            let file = Path::new(&variable("HOME")?).join(".postgresql/root.crt");
            file.exists().then(|| file.display().to_string())
        };
        let root_certificates = self.root_certificates.or_else(|| variable("PGSSLROOTCERT")).or_else(usual);
        Ok(Encryption { mode, root_certificates })
    }
}

/// Sets what an address rarely says: that a connection is broken when the other end does not answer for a minute, and that
/// of several servers the one is used that can be written.
fn set_limits(config: &mut Config) {
    if config.get_keepalives_idle() == USUAL_KEEPALIVES_IDLE {
        config.keepalives_idle(KEEPALIVES_IDLE).keepalives_interval(KEEPALIVES_INTERVAL).keepalives_retries(3);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    if config.get_hosts().len() > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
}

/// Adds the password, if there is none yet. Returns why a password file is not used.
fn add_password(config: &mut Config) -> Option<String> {
    if config.get_password().is_some() {
        return None;
    }
    if let Some(password) = variable("PGPASSWORD") {
        config.password(password);
        return None;
    }
    let host = first_host(config);
    let user = config.get_user().map(str::to_owned).or_else(|| variable("USER")).unwrap_or_default();
    let database = config.get_dbname().unwrap_or(&user).to_owned();
    let port = config.get_ports().first().copied().unwrap_or(USUAL_PORT);
    match password_file::find(&PasswordOwner { host: &host, port, database: &database, user: &user }) {
        Ok(password) => {
            if let Some(password) = password {
                config.password(password);
            }
            None
        }
        Err(warning) => Some(warning),
    }
}

/// The name of the first server, or the folder of its socket.
fn first_host(config: &Config) -> String {
    config.get_hosts().first().map_or_else(String::new, |host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    })
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A part of an address with `%2F` and the like replaced.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let hex = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
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
        assert!(refused("postgres://db/jobs?site=b&sslmode=maybe").to_string().contains("`verify-full`"));
    }

    #[test]
    fn only_two_hex_digits_behind_a_percent_sign_are_a_byte() {
        assert_eq!(percent_decoded("%2Fa%20%+F%2%"), "/a %+F%2%");
    }

    #[test]
    fn the_mode_of_encryption_is_that_of_libpq() {
        let mode = |url| ServerAddress::parse(url).unwrap().encryption.mode;
        assert_eq!(mode("postgres://db/jobs?site=a"), SslMode::Prefer);
        assert_eq!(mode("postgres://db/jobs?sslmode=verify-full&site=a"), SslMode::VerifyFull);
        assert_eq!(mode("postgres:///jobs?host=/run/postgresql&sslmode=require&site=a"), SslMode::Disable);
        let no_roots = ServerAddress::parse("postgres://db/jobs?sslmode=verify-ca&sslrootcert=%2Fnone&site=a").unwrap();
        assert!(no_roots.tls().err().unwrap().contains("/none"));
    }
}
