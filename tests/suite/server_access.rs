//! How the program reaches a server: encryption, password files, service files and `config.yaml`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::own_server::OwnServer;
use super::temp_site::TempSite;

/// A server that takes only encrypted connections of `app`, with a password.
fn server(files: &TempSite) -> Option<OwnServer> {
    if !make_certificates(files.path()) {
        return None;
    }
    let certificates = files.path().to_owned();
    let server = OwnServer::start_with(
        &["ssl=on", "ssl_cert_file=server.crt", "ssl_key_file=server.key", "fsync=off"],
        |data| {
            for name in ["server.crt", "server.key"] {
                fs::copy(certificates.join(name), data.join(name)).unwrap();
            }
            fs::set_permissions(data.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
            let rules = "local all setlist trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
            fs::write(data.join("pg_hba.conf"), rules).unwrap();
        },
    )?;
    let create = "CREATE ROLE app LOGIN PASSWORD 'se:cret'; CREATE DATABASE jobs OWNER app";
    let mut client = server.client().unwrap();
    create.split("; ").for_each(|sql| client.batch_execute(sql).unwrap());
    Some(server)
}

/// Makes a root certificate, one of a server that is called `localhost` by it, and another root.
fn make_certificates(folder: &Path) -> bool {
    let openssl = |args: &str| {
        let made = Command::new("openssl").args(args.split(' ')).current_dir(folder).output();
        made.is_ok_and(|made| {
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            true
        })
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    fs::write(folder.join("ext"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
    let is_made = openssl(&format!("req -x509 {key} -keyout root.key -out root.crt -subj /CN=root"))
        && openssl(&format!("req -x509 {key} -keyout other.key -out other.crt -subj /CN=other"))
        && openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"))
        && openssl(
            "x509 -req -in server.csr -CA root.crt -CAkey root.key -CAcreateserial -days 2 -extfile ext -out server.crt",
        );
    if !is_made {
        eprintln!("SKIPPED: the tests of encryption, because `openssl` was not found");
    }
    is_made
}

struct Access {
    site: TempSite,
    server: OwnServer,
}

impl Access {
    fn new() -> Option<Self> {
        let site = TempSite::with("queues: {build: {jobs: [{id: one, run: 'true'}]}}");
        let server = server(&site)?;
        Some(Self { site, server })
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        format!("postgres://app@{host}:{}/jobs?site=a{parameters}", self.server.port)
    }

    /// Runs `status` with this store and these variables; `HERE` in values is the folder of the site.
    fn status(&self, url: Option<&str>, variables: &[(&str, &str)]) -> Result<String, String> {
        let mut command = self.site.command(&["status"]);
        let here = self.site.path().display().to_string();
        if let Some(url) = url {
            command.env("SETLIST_STORE", url.replace("HERE", &here));
        }
        command.envs(variables.iter().map(|(name, value)| (*name, value.replace("HERE", &here))));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => Ok(text),
            code => Err(format!("{code:?} {text}")),
        }
    }
}

const PASSWORD: (&str, &str) = ("PGPASSWORD", "se:cret");

#[test]
fn connections_are_encrypted_and_the_server_is_checked_as_sslmode_says() {
    let Some(access) = Access::new() else { return };
    let status = |host: &str, parameters: &str| access.status(Some(&access.url(host, parameters)), &[PASSWORD]);
    for parameters in [
        "",
        "&sslmode=require",
        "&sslmode=verify-ca&sslrootcert=HERE/root.crt",
        "&sslmode=prefer&sslrootcert=HERE/other.crt",
    ] {
        status("127.0.0.1", parameters).unwrap_or_else(|error| panic!("{parameters}: {error}"));
    }
    status("localhost", "&sslmode=verify-full&sslrootcert=HERE/root.crt").unwrap();
    let refused = |host, parameters, text: &str| {
        let error = status(host, parameters).expect_err(parameters);
        assert!(error.starts_with("Some(3)") && error.contains(text), "{parameters}: {error}");
    };
    refused("127.0.0.1", "&sslmode=verify-full&sslrootcert=HERE/root.crt", "not valid for");
    let issuer =
        "its certificate was not issued by one of those in HERE/other.crt; name the right file with `sslrootcert`";
    let issuer = issuer.replace("HERE", &access.site.path().display().to_string());
    refused("localhost", "&sslmode=verify-full&sslrootcert=HERE/other.crt", &issuer);
    refused("127.0.0.1", "&sslmode=verify-ca&sslrootcert=HERE/other.crt", &issuer);
    refused("127.0.0.1", "&sslmode=require&sslrootcert=HERE/other.crt", &issuer);
    refused("127.0.0.1", "&sslmode=verify-full&sslrootcert=HERE/root.crt", "use that name in the address");
    refused("127.0.0.1", "&sslmode=disable", "no encryption; check the user and `sslmode`, and `pg_hba.conf`");
    refused("127.0.0.1", "&sslmode=verify-ca", "set sslrootcert");
    refused("127.0.0.1", "&sslmode=verify-ca&sslrootcert=HERE/none.crt", "none.crt");
}

#[test]
fn refusals_of_the_server_come_with_what_to_do() {
    let Some(access) = Access::new() else { return };
    let port = access.server.port;
    let mut client = access.server.client().unwrap();
    client.batch_execute("CREATE ROLE guest LOGIN PASSWORD 'guest'").unwrap();
    let says = |user: &str, database: &str, password: Option<&str>| {
        let url = format!("postgres://{user}@127.0.0.1:{port}/{database}?site=a");
        let said = access.status(Some(&url), password.map(|password| ("PGPASSWORD", password)).as_slice()).unwrap_err();
        let place = format!("Some(3) setlist: can't use PostgreSQL at 127.0.0.1:{port}, database {database}: ");
        said.strip_prefix(&place).unwrap_or_else(|| panic!("{said}")).trim_end().to_owned()
    };
    let wrong = "it refuses the password of app; correct `PGPASSWORD` or `~/.pgpass`";
    assert_eq!(says("app", "jobs", Some("wrong")), wrong);
    let missing = "app needs a password; set `PGPASSWORD`, or add a line to `~/.pgpass`";
    assert_eq!(says("app", "jobs", None), missing);
    let no_database = "there is no such database; create it with `createdb none` on the server, or check the name";
    assert_eq!(says("app", "none", Some("se:cret")), no_database);
    // What it says to do helps.
    let refused = says("guest", "jobs", Some("guest"));
    let grant = "GRANT CONNECT, CREATE ON DATABASE \"jobs\" TO \"guest\"";
    assert_eq!(refused, format!("permission denied for database jobs; its owner can allow it with `{grant}`"));
    client.batch_execute(grant).unwrap();
    let guest = format!("postgres://guest@127.0.0.1:{port}/jobs?site=a");
    access.status(Some(&guest), &[("PGPASSWORD", "guest")]).unwrap();
    // Now the schema is that of the guest.
    let refused = says("app", "jobs", Some("se:cret"));
    let owner = "permission denied for schema setlist; connect as the owner of the schema `setlist`, who can also grant app \
                 its use, with all privileges on its tables and sequences";
    assert_eq!(refused, owner);
    let folder = access.server.socket().parent().unwrap().display().to_string();
    let parameters = format!("user=setlist dbname=jobs port={port} host={folder}");
    let mut of_schema = postgres::Client::connect(&parameters, postgres::NoTls).unwrap();
    let grants = "GRANT USAGE ON SCHEMA setlist TO app; GRANT ALL ON ALL TABLES IN SCHEMA setlist TO app; \
                  GRANT ALL ON ALL SEQUENCES IN SCHEMA setlist TO app";
    of_schema.batch_execute(grants).unwrap();
    access.status(Some(&access.url("127.0.0.1", "")), &[PASSWORD]).unwrap();
    client.batch_execute("ALTER ROLE app CONNECTION LIMIT 0").unwrap();
    let full = access.status(Some(&access.url("127.0.0.1", "")), &[PASSWORD]).unwrap_err();
    assert!(full.contains("can't reach PostgreSQL at") && full.contains("too many connections"), "{full}");
    assert!(full.ends_with("; try again, or raise `max_connections` on the server\n"), "{full}");
}

#[test]
fn a_password_comes_from_a_file_that_others_cannot_read() {
    let Some(access) = Access::new() else { return };
    let url = access.url("127.0.0.1", "");
    let lines =
        format!("# the first that matches\n*:1:*:*:wrong\n127.0.0.1:{}:jobs:app:se\\:cret\n", access.server.port);
    access.site.write("passwords", &lines);
    let path = access.site.join("passwords");
    let status = || access.status(Some(&url), &[("PGPASSFILE", "HERE/passwords")]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = status().unwrap_err();
    assert!(refused.contains("is not used, because others can read or write it"), "{refused}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(status().unwrap(), "");
    assert!(access.status(Some(&url), &[("PGPASSFILE", "HERE/none")]).unwrap_err().starts_with("Some(3)"));
}

#[test]
fn a_service_says_what_the_address_does_not() {
    let Some(access) = Access::new() else { return };
    let port = access.server.port;
    let service = format!("[other]\nhost=none.invalid\n[jobs]\nhost=127.0.0.1\nport={port}\ndbname=jobs\nuser=app\n");
    access.site.write("services", &(service + "password=se:cret\nsslmode=verify-ca\nsslrootcert=/none.crt\n"));
    let file = ("PGSERVICEFILE", "HERE/services");
    let roots = "&sslrootcert=HERE/root.crt";
    access.status(Some(&format!("postgres:///?service=jobs&site=a{roots}")), &[file]).unwrap();
    access.status(Some(&format!("postgres:///?site=a{roots}")), &[file, ("PGSERVICE", "jobs")]).unwrap();
    let unknown = access.status(Some("postgres:///?service=none&site=a"), &[file]).unwrap_err();
    assert!(unknown.contains("no service file has a service \"none\""), "{unknown}");
}

#[test]
fn config_yaml_names_the_server_of_a_site() {
    let Some(access) = Access::new() else { return };
    let config = access.site.join("config/setlist");
    fs::create_dir_all(&config).unwrap();
    let home = access.site.path().display().to_string();
    let write = |text: String| fs::write(config.join("config.yaml"), text).unwrap();
    let local = |url: Option<&str>| access.status(url, &[PASSWORD]);
    write(format!("store: {}", access.url("127.0.0.1", "")));
    local(None).unwrap();
    assert!(!access.site.join(".setlist/state.db").exists(), "it is on the server");
    // The argument or variable is stronger.
    let other = access.url("127.0.0.1", "&sslmode=disable");
    assert!(local(Some(&other)).unwrap_err().contains("no encryption"));
    write(format!("store: {{{home}: '{other}', /elsewhere: 'postgres://x/y?site=z'}}"));
    assert!(local(None).unwrap_err().contains("no encryption"));
    write("store: {/elsewhere: 'postgres://x/y?site=z'}".to_owned());
    local(None).unwrap();
    assert!(access.site.join(".setlist/state.db").exists(), "another folder is named");
    write("store: postgres://x:secret@y/z?site=a".to_owned());
    let refused = local(None).unwrap_err();
    assert!(refused.contains("must not contain a password"), "{refused}");
}
