//! `setlist import`: writes a `jobs.yaml` from the file of another tool.

mod cron_environment;
mod cron_field;
mod crontab;
mod draft;
mod procfile;
mod pueue;

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::Context;

use self::crontab::CrontabFormat;
use self::draft::{ImportDraft, Note, Place};
use self::pueue::PueueSelection;
use super::args::{ImportArgs, ImportSource};
use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::safe_output;
use crate::account::Account;
use crate::definition::{self, MAX_FILE_BYTES};
use crate::text::{self, count_noun};

/// A file to import.
struct Input {
    /// Its name in messages.
    name: String,
    /// Its path, unless it comes from a command or from standard input.
    path: Option<PathBuf>,
    bytes: Vec<u8>,
}

/// Writes a `jobs.yaml`, and says what could not be carried over.
pub(super) fn import(args: &ImportArgs) -> Result<ExitStatus, CliError> {
    reject_misplaced_options(args)?;
    if let Some(file) = &args.output
        && !args.force
        && file.symlink_metadata().is_ok()
    {
        return Err(CliError::Usage(format!("{} already exists; --force overwrites it", file.display())));
    }
    let input = read_input(args)?;
    let mut draft = match args.source {
        ImportSource::Crontab => {
            let user = args.system.then(|| args.user.clone().map_or_else(own_name, Ok)).transpose()?;
            crontab::import(&input.bytes, &CrontabFormat { user, source: input.name.clone() })
        }
        ImportSource::Procfile => import_procfile(&input, args.output.as_deref()),
        ImportSource::Pueue => {
            let selection = PueueSelection { finished: args.finished, environments: args.environments };
            pueue::import(&input.bytes, &input.name, selection)
                .map_err(|error| CliError::Usage(format!("{}: {error}", input.name)))?
        }
    };
    draft.refuse_invalid_jobs();
    for note in &draft.notes {
        warn(&message(&input.name, note));
    }
    if draft.job_count() == 0 {
        return Err(CliError::Usage(format!("{}: there is nothing to import", input.name)));
    }
    let yaml = draft.to_yaml();
    if let Err(diagnostics) = definition::parse("jobs.yaml", &yaml) {
        return Err(definition::Error::Invalid(diagnostics).into());
    }
    match &args.output {
        Some(file) => write_file(file, &yaml, args)?,
        None => safe_output::raw_stdout().write_all(yaml.as_bytes())?,
    }
    warn(&summary(&draft, args.output.as_deref()));
    Ok(ExitStatus::Success)
}

/// Refuses options of one kind of file for another one.
fn reject_misplaced_options(args: &ImportArgs) -> Result<(), CliError> {
    let misplaced = match args.source {
        ImportSource::Crontab if args.finished => Some(("--finished", "pueue")),
        ImportSource::Crontab | ImportSource::Procfile if args.environments => Some(("--environments", "pueue")),
        ImportSource::Procfile if args.finished => Some(("--finished", "pueue")),
        ImportSource::Procfile | ImportSource::Pueue if args.system => Some(("--system", "a crontab")),
        _ => None,
    };
    match misplaced {
        Some((option, source)) => Err(CliError::Usage(format!("{option} is only for {source}"))),
        None => Ok(()),
    }
}

fn read_input(args: &ImportArgs) -> Result<Input, CliError> {
    let path = match (&args.input, args.source) {
        (Some(path), _) if path.as_os_str() == "-" => {
            let bytes = read_limited(io::stdin(), "standard input")?;
            return Ok(Input { name: "standard input".to_owned(), path: None, bytes });
        }
        (Some(path), _) => path.clone(),
        (None, ImportSource::Crontab) => return read_own_crontab(),
        (None, ImportSource::Procfile) => PathBuf::from("Procfile"),
        (None, ImportSource::Pueue) => pueue_state()?,
    };
    let name = path.display().to_string();
    let file = File::open(&path).map_err(|error| CliError::Usage(format!("cannot read {name}: {error}")))?;
    let bytes = read_limited(file, &name)?;
    Ok(Input { name, path: Some(path), bytes })
}

fn read_limited(from: impl Read, name: &str) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| CliError::Usage(format!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(CliError::Usage(format!("{name} is larger than {} MiB", MAX_FILE_BYTES / (1024 * 1024))));
    }
    Ok(bytes)
}

/// The crontab of this user, as `crontab -l` prints it.
fn read_own_crontab() -> Result<Input, CliError> {
    let output = Command::new("crontab").arg("-l").output().map_err(|error| {
        CliError::Usage(format!("cannot run `crontab -l`: {error}; name a file, or `-` for standard input"))
    })?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        let reason = text::sanitize_line(reason.lines().next().unwrap_or("it failed"));
        return Err(CliError::Usage(format!("`crontab -l`: {reason}")));
    }
    Ok(Input { name: "crontab".to_owned(), path: None, bytes: output.stdout })
}

/// Where pueue keeps its state.
fn pueue_state() -> Result<PathBuf, CliError> {
    let data = env::var_os("XDG_DATA_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let data = data.or_else(|| Some(env::home_dir()?.join(".local/share")));
    data.map(|data| data.join("pueue/state.json"))
        .ok_or_else(|| CliError::Usage("there is no home directory; name the state.json of pueue".to_owned()))
}

/// The name of this user.
fn own_name() -> Result<String, CliError> {
    let account = Account::find(rustix::process::getuid().as_raw());
    let name = account.and_then(|account| account.name.into_string().ok());
    name.ok_or_else(|| CliError::Usage("your user name is unknown; name it with --user".to_owned()))
}

fn import_procfile(input: &Input, output: Option<&Path>) -> ImportDraft {
    let folder_of = |file: &Path| {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        folder.canonicalize().ok()
    };
    let own = input.path.as_deref().and_then(folder_of);
    let target = output.map_or_else(|| env::current_dir().ok(), folder_of);
    let elsewhere = own.clone().filter(|folder| target.as_ref() != Some(folder));
    let env_file = own.map(|folder| folder.join(".env")).filter(|file| file.is_file());
    let env_file = env_file.map(|file| if elsewhere.is_some() { file } else { PathBuf::from(".env") });
    procfile::import(&input.bytes, &input.name, env_file.as_deref(), elsewhere.as_deref())
}

/// Writes the file, all of it or nothing.
fn write_file(file: &Path, yaml: &str, args: &ImportArgs) -> Result<(), CliError> {
    // What jobs get from pueue may hold secrets.
    let mode = if args.environments { 0o600 } else { 0o666 };
    let shown = file.display();
    let context = || format!("cannot write {shown}");
    let mut new = OpenOptions::new();
    new.write(true).create_new(true).mode(mode);
    if !args.force {
        return match new.open(file) {
            Ok(mut new) => Ok(new.write_all(yaml.as_bytes()).with_context(context)?),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(CliError::Usage(format!("{shown} already exists; --force overwrites it")))
            }
            Err(error) => Err(anyhow::Error::new(error).context(context()).into()),
        };
    }
    let target = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let mut name = target.clone().into_os_string();
    name.push(format!(".{}.new", process::id()));
    let written = new.open(&name).and_then(|mut new| new.write_all(yaml.as_bytes()));
    let renamed = written.and_then(|()| fs::rename(&name, &target));
    if renamed.is_err() {
        // It may not exist.
        let _ = fs::remove_file(&name);
    }
    Ok(renamed.with_context(context)?)
}

/// A note as a message.
fn message(file: &str, Note { place, text, .. }: &Note) -> String {
    match place {
        Place::File => format!("{file}: {text}"),
        Place::Line(line) => format!("{file}:{line}: {text}"),
        Place::Task(task) => format!("{file}: task {task}: {text}"),
    }
}

fn summary(draft: &ImportDraft, output: Option<&Path>) -> String {
    let jobs = count_noun(draft.job_count(), "job");
    let wrote = match output {
        Some(file) => format!("wrote {jobs} to {}", file.display()),
        None => format!("printed {jobs}; `-o jobs.yaml` writes a file"),
    };
    match draft.notes.iter().filter(|note| note.is_refusal).count() {
        0 => wrote,
        refused => format!("{wrote}; {refused} not carried over, see above"),
    }
}
