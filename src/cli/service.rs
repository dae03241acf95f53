//! `setlist service`: keeps a worker of a site running with systemd's user manager.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Context;

use super::args::ServiceAction;
use super::error::CliError;
use super::exit::ExitStatus;
use super::safe_output;
use super::site_args::SiteArgs;
use super::site_files::nearest_file;
use super::store_choice::state_dir;
use crate::definition;
use crate::site::user_name;
use crate::stable_hash::stable_hash;
use crate::text;

/// The service of one site.
struct Service {
    /// The name of the unit.
    name: String,
    /// The file of the unit.
    unit_file: PathBuf,
    /// The command of the worker, quoted for a unit file and for a shell.
    exec_start: String,
    shell_command: String,
    file: PathBuf,
}

/// Installs, shows or removes the service of the nearest site.
pub(super) fn run(args: &SiteArgs, action: ServiceAction) -> Result<ExitStatus, CliError> {
    let service = Service::find(args)?;
    match action {
        ServiceAction::Install => service.install(),
        ServiceAction::Status => service.status(),
        ServiceAction::Remove => service.remove(),
    }
}

impl Service {
    fn find(args: &SiteArgs) -> Result<Self, CliError> {
        let file = nearest_file(args)?;
        let file = file.canonicalize().with_context(|| format!("cannot find {}", file.display()))?;
        let program = env::current_exe().context("cannot find the path of this program")?;
        let mut words = vec![program.display().to_string(), "--file".to_owned(), file.display().to_string()];
        if args.state.is_some() {
            let state = state_dir(args, &file)?;
            let state = std::path::absolute(state.path()).context("cannot find the folder of the state")?;
            words.extend(["--state".to_owned(), state.display().to_string()]);
        }
        if let Some(address) = &args.store {
            words.extend(["--store".to_owned(), address.to_string()]);
        }
        words.push("worker".to_owned());
        let folder = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        // The hash tells apart sites in folders of the same name.
        let hash = stable_hash(file.as_os_str().as_encoded_bytes().iter().copied());
        let name = format!("setlist-{}-{hash:016x}.service", unit_word(&folder));
        let no_home = || CliError::Usage("can't find the home folder: set HOME".to_owned());
        let config_home = definition::config_home().ok_or_else(no_home)?;
        Ok(Self {
            unit_file: config_home.join("systemd/user").join(&name),
            name,
            exec_start: words.iter().map(|word| quote_for_unit(word)).collect::<Vec<_>>().join(" "),
            shell_command: shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default(),
            file,
        })
    }

    fn install(&self) -> Result<ExitStatus, CliError> {
        self.require_systemd()?;
        let folder = self.unit_file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(&self.unit_file, self.unit())
            .with_context(|| format!("cannot write {}", self.unit_file.display()))?;
        let started = run_systemctl(&["daemon-reload"]).and_then(|()| run_systemctl(&["enable", "--now", &self.name]));
        if let Err(error) = started {
            // A unit that can't be started would only be found by chance.
            let _ = fs::remove_file(&self.unit_file);
            return Err(error);
        }
        let mut out = safe_output::stdout();
        writeln!(out, "installed {}: a worker for {} runs now", self.name, text::sanitize_line(&self.shown_file()))?;
        writeln!(out, "unit: {}", self.unit_file.display())?;
        if !is_lingering() {
            writeln!(
                out,
                "systemd stops it when you log out, and starts it when you log in. To keep it running from boot on:\n  \
                 loginctl enable-linger"
            )?;
        }
        Ok(ExitStatus::Success)
    }

    fn status(&self) -> Result<ExitStatus, CliError> {
        let mut out = safe_output::stdout();
        if !self.unit_file.exists() {
            writeln!(out, "no service is installed for {}", text::sanitize_line(&self.shown_file()))?;
            return Ok(ExitStatus::JobFailed);
        }
        self.require_systemd()?;
        let state = systemctl(&["is-active", &self.name]).map_err(|error| no_systemctl(&error, self))?;
        let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
        let lingering =
            if is_lingering() { "starts at boot" } else { "starts when you log in (`loginctl enable-linger`)" };
        writeln!(out, "{}: {}, {lingering}", self.name, text::sanitize_line(&state))?;
        Ok(if state == "active" { ExitStatus::Success } else { ExitStatus::JobFailed })
    }

    fn remove(&self) -> Result<ExitStatus, CliError> {
        let mut out = safe_output::stdout();
        if !self.unit_file.exists() {
            writeln!(out, "no service is installed for {}", text::sanitize_line(&self.shown_file()))?;
            return Ok(ExitStatus::Success);
        }
        // Running jobs are stopped and recorded as interrupted, as at any end of a worker.
        let stopped = run_systemctl(&["disable", "--now", &self.name]);
        fs::remove_file(&self.unit_file).with_context(|| format!("cannot remove {}", self.unit_file.display()))?;
        stopped?;
        run_systemctl(&["daemon-reload"])?;
        writeln!(out, "removed {}", self.name)?;
        Ok(ExitStatus::Success)
    }

    fn unit(&self) -> String {
        format!(
            "# Written by `setlist service install`; `setlist service remove` removes it.\n\
             [Unit]\n\
             Description=Setlist worker for {}\n\
             \n\
             [Service]\n\
             Type=notify\n\
             ExecStart={}\n\
             KillMode=mixed\n\
             TimeoutStopSec=infinity\n\
             Restart=on-failure\n\
             Delegate=yes\n\
             \n\
             [Install]\n\
             WantedBy=default.target\n",
            self.shown_file().replace('%', "%%").replace(char::is_control, " "),
            self.exec_start
        )
    }

    fn shown_file(&self) -> String {
        self.file.display().to_string()
    }

    /// Fails with what to do instead where systemd's user manager is not running.
    fn require_systemd(&self) -> Result<(), CliError> {
        let found = systemctl(&["show-environment"]).map_err(|error| no_systemctl(&error, self))?;
        if found.status.success() { Ok(()) } else { Err(self.without_systemd(&last_line(&found.stderr))) }
    }

    fn without_systemd(&self, reason: &str) -> CliError {
        let mut message = format!("systemd's user manager can't be used here: {reason}\n");
        let command = &self.shell_command;
        // Writing to a string can't fail.
        let _ = write!(
            message,
            "Without it, keep a worker running in one of these ways:\n  \
             cron:       add this line with `crontab -e`\n              @reboot {command}\n  \
             container:  run this as its main process\n              {command}"
        );
        CliError::Usage(message)
    }
}

fn no_systemctl(error: &io::Error, service: &Service) -> CliError {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "there is no `systemctl`".to_owned(),
        _ => error.to_string(),
    };
    service.without_systemd(&reason)
}

fn systemctl(args: &[&str]) -> io::Result<Output> {
    Command::new("systemctl").arg("--user").args(args).output()
}

/// Runs `systemctl --user`; its message is the error if it fails.
fn run_systemctl(args: &[&str]) -> Result<(), CliError> {
    let output = systemctl(args).context("cannot run systemctl")?;
    if output.status.success() {
        return Ok(());
    }
    let reason = last_line(&output.stderr);
    Err(CliError::Other(anyhow::anyhow!("systemctl --user {}: {reason}", args.join(" "))))
}

/// Whether systemd starts the services of this user at boot and keeps them after logout.
fn is_lingering() -> bool {
    let shown = Command::new("loginctl").args(["show-user", "--property=Linger", "--value"]).arg(user_name()).output();
    shown.is_ok_and(|output| output.stdout.trim_ascii() == b"yes")
}

fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text::sanitize_line(text.lines().next_back().unwrap_or("it fails"))
}

/// A part of a unit's name.
fn unit_word(name: &str) -> String {
    let word: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(40).collect();
    if word.is_empty() { "site".to_owned() } else { word }
}

/// Quotes a word of `ExecStart`.
fn quote_for_unit(word: &str) -> String {
    let escaped = word.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if word.contains(|c: char| c.is_whitespace() || "\"'\\;".contains(c)) { format!("\"{escaped}\"") } else { escaped }
}
