//! Subscriptions to the changes of a file that may be a link.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use crate::store::{NotifyFn, StoreError, Subscription};

/// The most links that are followed, as in the operating system.
const MAX_LINKS: usize = 40;

/// Names by the folder that contains them.
type Entries = BTreeMap<PathBuf, BTreeSet<OsString>>;

/// Subscriptions to the folders of a file, of its target and of all links on the way.
pub(super) struct LinkSubscriptions {
    file: PathBuf,
    notify: NotifyFn,
    entries: Entries,
    subscriptions: Vec<Subscription>,
}

impl LinkSubscriptions {
    /// Subscribes. Fails if the folder of the file can't be watched.
    pub(super) fn start(file: PathBuf, notify: NotifyFn) -> Result<Self, StoreError> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = file.file_name().map(OsStr::to_owned).unwrap_or_default();
        let own = subscribe(folder, BTreeSet::from([name]), &notify)?;
        let mut subscriptions = Self { file, notify, entries: Entries::new(), subscriptions: vec![own] };
        subscriptions.update();
        Ok(subscriptions)
    }

    /// Subscribes to other folders if the links have changed.
    pub(super) fn update(&mut self) {
        // Links may change while the new folders are subscribed to.
        for _ in 0..MAX_LINKS {
            let entries = entries_on_the_way(&self.file);
            if entries == self.entries {
                return;
            }
            // The folder of the file itself stays the first.
            self.subscriptions.truncate(1);
            for (folder, names) in &entries {
                match subscribe(folder, names.clone(), &self.notify) {
                    Ok(subscription) => self.subscriptions.push(subscription),
                    Err(error) => tracing::warn!(%error, "changes of the target of a link are not noticed"),
                }
            }
            self.entries = entries;
        }
    }
}

fn subscribe(folder: &Path, names: BTreeSet<OsString>, notify: &NotifyFn) -> Result<Subscription, StoreError> {
    let is_ours = move |changed: &str| names.contains(OsStr::new(changed));
    Subscription::on_dir(folder, is_ours, NotifyFn::clone(notify))
}

/// The links by which a file is reached, and its target. Empty if the file is not a link.
fn entries_on_the_way(file: &Path) -> Entries {
    let mut entries = Entries::new();
    if !file.is_symlink() {
        return entries;
    }
    let parent = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(mut folder) = parent.canonicalize() else { return entries };
    let mut rest: Vec<OsString> = file.file_name().map(OsStr::to_owned).into_iter().collect();
    let mut links = 0;
    while let Some(name) = rest.pop() {
        let path = folder.join(&name);
        match path.read_link() {
            Ok(target) if links < MAX_LINKS => {
                links += 1;
                entries.entry(folder.clone()).or_default().insert(name);
                for component in target.components().rev() {
                    match component {
                        Component::Normal(name) => rest.push(name.to_owned()),
                        Component::ParentDir => rest.push("..".into()),
                        Component::RootDir => folder = "/".into(),
                        Component::CurDir | Component::Prefix(_) => {}
                    }
                }
            }
            _ if name == ".." => _ = folder.pop(),
            _ if rest.is_empty() => _ = entries.entry(folder.clone()).or_default().insert(name),
            _ => folder = path,
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn all_links_on_the_way_are_watched() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let names = |file: &str| -> Vec<String> {
            let entries = entries_on_the_way(&root.join(file));
            let path = |folder: &Path, name: &OsString| {
                folder.join(name).strip_prefix(&root).map(|path| path.display().to_string()).ok()
            };
            entries.iter().flat_map(|(folder, names)| names.iter().filter_map(|name| path(folder, name))).collect()
        };
        for sub in ["site", "v1", "dotfiles/deep"] {
            fs::create_dir_all(root.join(sub)).unwrap();
        }
        fs::write(root.join("site/plain.yaml"), "").unwrap();
        assert_eq!(names("site/plain.yaml"), [""; 0]);
        fs::write(root.join("v1/jobs.yaml"), "").unwrap();
        symlink("v1", root.join("..data")).unwrap();
        symlink("../..data/jobs.yaml", root.join("site/jobs.yaml")).unwrap();
        assert_eq!(names("site/jobs.yaml"), ["..data", "site/jobs.yaml", "v1/jobs.yaml"]);
        symlink(root.join("site/jobs.yaml"), root.join("dotfiles/deep/link.yaml")).unwrap();
        assert_eq!(
            names("dotfiles/deep/link.yaml"),
            ["..data", "dotfiles/deep/link.yaml", "site/jobs.yaml", "v1/jobs.yaml"]
        );
        symlink("loop.yaml", root.join("site/loop.yaml")).unwrap();
        assert_eq!(names("site/loop.yaml"), ["site/loop.yaml"]);
        symlink("missing.yaml", root.join("site/dangling.yaml")).unwrap();
        assert_eq!(names("site/dangling.yaml"), ["site/dangling.yaml", "site/missing.yaml"]);
    }
}
