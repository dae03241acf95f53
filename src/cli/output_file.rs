//! Files that a command writes for the user, such as reports: whole or not at all, and never through a link of another user.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::process::geteuid;

use super::error::CliError;
use super::safe_output;

/// The name of standard output.
const STDOUT: &str = "-";

/// Whether this is standard output.
pub(super) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == STDOUT
}

/// Writes a file, or standard output for `-`.
pub(super) fn write_to(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), CliError>,
) -> Result<(), CliError> {
    if is_stdout(path) {
        let mut out = BufWriter::new(safe_output::stdout());
        write(&mut out)?;
        return Ok(out.flush()?);
    }
    let context = || format!("cannot write {}", path.display());
    let target = target_of(path).with_context(context)?;
    let (draft, file) = OutputDraft::create(&target).with_context(context)?;
    let mut out = BufWriter::new(file);
    let written = write(&mut out).and_then(|()| Ok(out.flush()?));
    if let Err(CliError::Output(error)) = written {
        return Err(anyhow::Error::new(error).context(context()).into());
    }
    written?;
    Ok(draft.replace(&target, out.get_ref()).with_context(context)?)
}

/// The file to write: where the links of the user lead.
fn target_of(path: &Path) -> io::Result<PathBuf> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path.to_owned()),
        Err(error) => return Err(error),
    };
    if metadata.is_symlink() && metadata.uid() != geteuid().as_raw() && metadata.uid() != 0 {
        return Err(io::Error::other("it is a link of another user"));
    }
    let target = path.canonicalize()?;
    if !target.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file; `-` is standard output"));
    }
    Ok(target)
}

/// A file beside the target that replaces it once it is complete; deleted when dropped.
struct OutputDraft(PathBuf);

impl OutputDraft {
    fn create(target: &Path) -> io::Result<(Self, File)> {
        let name = target.file_name().ok_or_else(|| io::Error::other("not the name of a file"))?;
        let name = format!(".{}.{}.new", name.to_string_lossy(), std::process::id());
        let draft = Self(target.with_file_name(name));
        // A link that someone has put in its place is an error.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o666).open(&draft.0)?;
        Ok((draft, file))
    }

    /// Puts the draft in the place of the target, whose mode it keeps.
    fn replace(self, target: &Path, file: &File) -> io::Result<()> {
        if let Ok(metadata) = target.symlink_metadata() {
            file.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o777))?;
        }
        file.sync_all()?;
        fs::rename(&self.0, target)
    }
}

impl Drop for OutputDraft {
    fn drop(&mut self) {
        // Fails if the file was renamed.
        let _ = fs::remove_file(&self.0);
    }
}
