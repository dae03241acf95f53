//! What goes wrong on the command line, how it is said, and the exit status that it makes.

use std::io::{self, Write};
use std::path::PathBuf;

use super::Exit;
use crate::definition;
use crate::definition::save::SaveError;
use crate::model::Refusal;
use crate::site::SiteError;
use crate::store::StoreError;
use crate::worker::WorkerError;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The arguments make no sense for this site.
    #[error("{0}")]
    Usage(String),
    /// There is no jobs.yaml.
    #[error("there is no jobs.yaml in {} or above it; `setlist init` writes one", .0.display())]
    NoFile(PathBuf),
    /// The nearest jobs.yaml is somebody else's.
    #[error(
        "{} belongs to another user ({owner}), and its jobs would run as you; if you trust it, name it: \
         `setlist -f {} …`",
        file.display(),
        file.display()
    )]
    Stranger {
        /// The file.
        file: PathBuf,
        /// The number of its owner.
        owner: u32,
    },
    /// The jobs.yaml has errors.
    #[error(transparent)]
    File(#[from] definition::Error),
    /// Jobs can't be written into the jobs.yaml.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The site refused.
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
    /// Our own output can't be written.
    #[error("the output can't be written: {0}")]
    Output(#[from] io::Error),
    /// Anything else, with its context.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl From<SiteError> for CliError {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Store(error) => Self::Store(error),
            error @ SiteError::Spawn(_) => Self::Site(error),
        }
    }
}

impl CliError {
    /// The exit status.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_)
            | Self::NoFile(_)
            | Self::Stranger { .. }
            | Self::File(_)
            | Self::Save(_)
            | Self::Refused(_) => Exit::Usage,
            Self::Store(_) | Self::Worker(WorkerError::Store(_)) => Exit::Store,
            Self::Worker(_) | Self::Site(_) | Self::Output(_) | Self::Other(_) => Exit::JobFailed,
        }
    }

    /// Says it on standard error.
    pub(super) fn print(&self, color: bool) {
        match self {
            Self::File(definition::Error::Invalid(diagnostics))
            | Self::Save(SaveError::File(definition::Error::Invalid(diagnostics))) => {
                say(&diagnostics.render(color));
            }
            Self::Store(error) | Self::Worker(WorkerError::Store(error)) if error.is_location_unwritable() => {
                complain(&format!("{error}; `--state DIR` keeps the state elsewhere"));
            }
            error => complain(&error.to_string()),
        }
    }
}

/// Says on standard error what is worth knowing or went wrong.
pub(super) fn complain(text: &str) {
    say(&format!("setlist: {text}"));
}

/// Writes a line to standard error.
pub(super) fn say(text: &str) {
    // Where standard error can't be written there is nobody to tell, and the exit status says it all the same.
    let _ = writeln!(io::stderr(), "{text}");
}
