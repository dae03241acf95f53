//! Finds the `jobs.yaml` files that apply to a folder, and the user's own files.

use std::env;
use std::path::{Path, PathBuf};

/// The name of a site's file.
pub const FILE_NAME: &str = "jobs.yaml";

/// The name of the state folder beside it.
const STATE_DIR_NAME: &str = ".setlist";

/// Returns the nearest `jobs.yaml` in `start` or a folder above it.
pub fn find(start: &Path) -> Option<PathBuf> {
    files_above(start).next()
}

/// Returns every `jobs.yaml` in `start` and the folders above it, nearest first, then the user's own if it exists.
pub fn find_all(start: &Path) -> Vec<PathBuf> {
    with_user_file(files_above(start).collect(), user_file())
}

/// The name of the user's settings file, next to the user's own `jobs.yaml`.
pub const CONFIG_FILE_NAME: &str = "config.yaml";

/// Returns the path of the user's settings, whether or not the file exists: `$XDG_CONFIG_HOME/setlist/config.yaml`, by
/// default in `~/.config`.
pub fn user_config_file() -> Option<PathBuf> {
    user_file().map(|file| file.with_file_name(CONFIG_FILE_NAME))
}

/// Returns the path of the user's own `jobs.yaml`, whether or not it exists: `$XDG_CONFIG_HOME/setlist/jobs.yaml`, by
/// default in `~/.config`.
pub fn user_file() -> Option<PathBuf> {
    Some(config_home()?.join("setlist").join(FILE_NAME))
}

/// The directory of the settings of all programs: `$XDG_CONFIG_HOME`, by default `~/.config`. `None` without a home
/// directory.
pub fn config_home() -> Option<PathBuf> {
    let config = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    config.or_else(|| Some(env::home_dir()?.join(".config")))
}

fn files_above(start: &Path) -> impl Iterator<Item = PathBuf> {
    // The ancestors of a relative path end at its first component, so make it absolute.
    let start = std::path::absolute(start).unwrap_or_else(|_| start.to_owned());
    let folders: Vec<PathBuf> = start.ancestors().map(Path::to_owned).collect();
    // A file below a state folder is that of a snapshot of the site.
    let is_state = |folder: &Path| folder.components().any(|part| part.as_os_str() == STATE_DIR_NAME);
    let folders = folders.into_iter().filter(move |folder| !is_state(folder));
    folders.map(|folder| folder.join(FILE_NAME)).filter(|file| file.is_file())
}

fn with_user_file(mut files: Vec<PathBuf>, own: Option<PathBuf>) -> Vec<PathBuf> {
    files.extend(own.filter(|own| own.is_file() && !files.contains(own)));
    files
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_users_own_file_comes_last_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join(FILE_NAME);
        assert_eq!(
            with_user_file(vec!["/site/jobs.yaml".into()], Some(own.clone())),
            [PathBuf::from("/site/jobs.yaml")]
        );
        fs::write(&own, "").unwrap();
        let both = with_user_file(vec!["/site/jobs.yaml".into()], Some(own.clone()));
        assert_eq!(both, [PathBuf::from("/site/jobs.yaml"), own.clone()]);
        assert_eq!(with_user_file(vec![own.clone()], Some(own.clone())), [own]);
    }
}
