//! Where the `jobs.yaml` are that count in a folder.

use std::env;
use std::path::{Path, PathBuf};

/// What a site's file is called.
pub const FILE_NAME: &str = "jobs.yaml";

/// The nearest `jobs.yaml` at or above the folder `start`.
pub fn find(start: &Path) -> Option<PathBuf> {
    above(start).next()
}

/// Every `jobs.yaml` at or above the folder `start`, the nearest first; last the user's own, if there is one.
pub fn find_all(start: &Path) -> Vec<PathBuf> {
    with_own(above(start).collect(), own())
}

/// What a person's own settings are called, beside their own `jobs.yaml`.
pub const CONFIG_NAME: &str = "config.yaml";

/// Where a person's own settings are or would be: `$XDG_CONFIG_HOME/setlist/config.yaml`, by default in `~/.config`.
pub fn own_config() -> Option<PathBuf> {
    own().map(|file| file.with_file_name(CONFIG_NAME))
}

/// Where the user's own `jobs.yaml` is or would be: `$XDG_CONFIG_HOME/setlist/jobs.yaml`, by default in `~/.config`.
pub fn own() -> Option<PathBuf> {
    let config = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let config = config.or_else(|| Some(env::home_dir()?.join(".config")))?;
    Some(config.join("setlist").join(FILE_NAME))
}

fn above(start: &Path) -> impl Iterator<Item = PathBuf> {
    // A relative path ends above its first name; the folders around it are found from the whole path.
    let start = std::path::absolute(start).unwrap_or_else(|_| start.to_owned());
    let folders: Vec<PathBuf> = start.ancestors().map(Path::to_owned).collect();
    folders.into_iter().map(|folder| folder.join(FILE_NAME)).filter(|file| file.is_file())
}

fn with_own(mut files: Vec<PathBuf>, own: Option<PathBuf>) -> Vec<PathBuf> {
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
        assert_eq!(with_own(vec!["/site/jobs.yaml".into()], Some(own.clone())), [PathBuf::from("/site/jobs.yaml")]);
        fs::write(&own, "").unwrap();
        let both = with_own(vec!["/site/jobs.yaml".into()], Some(own.clone()));
        assert_eq!(both, [PathBuf::from("/site/jobs.yaml"), own.clone()]);
        assert_eq!(with_own(vec![own.clone()], Some(own.clone())), [own]);
    }
}
