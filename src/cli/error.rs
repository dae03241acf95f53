//! Errors of the command line: their messages and exit statuses.

use std::io;
use std::path::PathBuf;

use super::exit::ExitStatus;
use super::safe_output::print_error;
use crate::definition;
use crate::definition::save::SaveError;
use crate::model::Refusal;
use crate::site::SiteError;
use crate::store::StoreError;
use crate::text;
use crate::worker::WorkerError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The arguments are invalid for this site.
    #[error("{0}")]
    Usage(String),
    /// There is no jobs.yaml.
    #[error("there is no jobs.yaml in {} or above it; `setlist init` writes one", .0.display())]
    NoFile(PathBuf),
    /// The nearest jobs.yaml belongs to another user.
    #[error(
        "{} belongs to another user ({owner}), and its jobs would run as you; if you trust it, name it: \
         `setlist -f {} …`",
        file.display(),
        file.display()
    )]
    ForeignOwner {
        /// The file.
        file: PathBuf,
        /// The user id of its owner.
        owner: u32,
    },
    /// The jobs.yaml has errors.
    #[error(transparent)]
    File(#[from] definition::Error),
    /// Jobs can't be written into the jobs.yaml.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The site refused a command.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A worker can't run.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The site can't be opened, or a worker can't be started.
    #[error(transparent)]
    Site(SiteError),
    /// Standard output can't be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// Any other error, with its context.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl From<SiteError> for CliError {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Store(error) => Self::Store(error),
            error => Self::Site(error),
        }
    }
}

impl CliError {
    /// The exit status.
    pub(super) fn exit(&self) -> ExitStatus {
        match self {
            Self::Usage(_)
            | Self::NoFile(_)
            | Self::ForeignOwner { .. }
            | Self::File(_)
            | Self::Save(_)
            | Self::Refused(_) => ExitStatus::Usage,
            // Nothing has run.
            Self::Store(_) | Self::Worker(WorkerError::Store(_) | WorkerError::Setup(_)) => ExitStatus::Store,
            Self::Other(error) if error.chain().any(is_file_limit) => ExitStatus::Store,
            Self::Worker(_) | Self::Site(_) | Self::Output(_) | Self::Other(_) => ExitStatus::JobFailed,
        }
    }

    /// Prints the error on standard error.
    pub(super) fn print(&self, color: bool) {
        match self {
            Self::File(definition::Error::Invalid(diagnostics))
            | Self::Save(SaveError::File(definition::Error::Invalid(diagnostics))) => {
                print_error(&diagnostics.render(color), color);
            }
            Self::Store(error) | Self::Worker(WorkerError::Store(error)) if error.is_location_unwritable() => {
                warn(&format!("{error}; `--state DIR` keeps the state elsewhere"));
            }
            error => warn(&error.to_string()),
        }
    }
}

/// Whether the cause is that this process can't open more files.
fn is_file_limit(cause: &(dyn std::error::Error + 'static)) -> bool {
    let too_many = rustix::io::Errno::MFILE.raw_os_error();
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.raw_os_error() == Some(too_many))
}

/// Prints a message on standard error.
pub(super) fn warn(message: &str) {
    print_line(&format!("setlist: {}", text::sanitize(message)));
}

/// Prints a line on standard error.
pub(super) fn print_line(text: &str) {
    print_error(text, false);
}
