//! Reads the files that `jobs.yaml` includes, and adds what they define to its tree, as if it was written there.
//!
//! Each file is read to a tree of its own. Its values get ids after those of all files before it, so that an id also says
//! in which file a value is.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::fields::{FieldScope, FileField};
use super::file_text::{self, Error};
use super::problems::{IncludedFile, Problem, Problems};
use super::root::parse_root;
use super::source::{MAX_FILE_BYTES, Source};
use super::spanned_value::{MapEntry, Node, NodeKind};
use super::spelling::quoted;
use super::value_path::ValuePath;
use super::{spanned_value, unknown_fields, value};
use crate::file_trust::TrustedOwners;

/// The field.
const INCLUDE: &str = "include";

/// The most files that are included.
const MAX_FILES: usize = 100;

/// The files that are included, and those that are to be watched.
#[derive(Default)]
pub(super) struct Includes {
    /// The files that were read.
    pub(super) files: Vec<IncludedFile>,
    /// The paths of all files that are named, also of those that can't be read.
    pub(super) paths: Vec<PathBuf>,
    /// The id of the next value.
    next_id: u32,
    /// The size of all texts.
    bytes: u64,
    /// The files that are being read, and the id of the value that includes each.
    on_the_way: Vec<(PathBuf, Option<u32>)>,
    /// The files that were read.
    known: HashSet<PathBuf>,
    /// Who may own the files beside the user.
    owner: Option<u32>,
    /// The folder of `jobs.yaml`.
    folder: Option<PathBuf>,
}

impl Includes {
    /// Reads what the file at `path` includes, and adds it to its tree, which was read with these problems.
    pub(super) fn read(path: &Path, root: &mut Node<'_>, problems: &mut Problems) -> Self {
        let mut includes = Self::default();
        if root.get(INCLUDE).is_some() {
            includes.next_id = problems.id_count;
            includes.owner = path.metadata().ok().map(|metadata| metadata.uid());
            let absolute = std::path::absolute(path).ok();
            includes.folder = absolute.and_then(|path| path.parent()?.canonicalize().ok());
            includes.on_the_way.extend(path.canonicalize().ok().map(|path| (path, None)));
            includes.add_to(root, path, problems);
        }
        includes
    }

    /// Adds to a tree what its file includes.
    fn add_to(&mut self, root: &mut Node<'_>, path: &Path, problems: &mut Problems) {
        let Some(node) = root.get(INCLUDE) else { return };
        let top = ValuePath::Top;
        let field = top.key(INCLUDE);
        let read_path = |node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems| {
            value::non_empty_text(node, path, "the path", problems).map(|text| (node.id, text))
        };
        let wanted: Vec<(u32, String)> = match &node.kind {
            NodeKind::Scalar(..) => read_path(node, &field, problems).into_iter().collect(),
            _ => value::list(node, &field, "a list of files", problems, read_path).unwrap_or_default(),
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let own_end = self.next_id;
        let mut parts = Vec::new();
        for (id, text) in wanted {
            let path = match (text.strip_prefix("~/"), std::env::home_dir()) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => folder.join(&text),
            };
            match self.read_file(&path, id, &text, problems) {
                Ok(part) => parts.extend(part),
                Err(message) => problems.add(Problem::new(id, &field, message)),
            }
        }
        join(root, parts, own_end, problems);
    }

    /// Reads a file and what it includes. There is no tree if the file was read before or has errors.
    fn read_file(
        &mut self,
        path: &Path,
        id: u32,
        shown: &str,
        problems: &mut Problems,
    ) -> Result<Option<Node<'static>>, String> {
        let name = quoted(shown);
        if !self.paths.iter().any(|known| known == path) {
            self.paths.push(path.to_owned());
        }
        let canonical = path.canonicalize().map_err(|reason| format!("can't read {name}: {reason}"))?;
        if let Some(start) = self.on_the_way.iter().position(|(other, _)| *other == canonical) {
            let top = ValuePath::Top;
            let problem = Problem::new(id, &top.key(INCLUDE), format!("{name} includes itself"));
            // The next step of the loop.
            problems.add(match self.on_the_way.get(start + 1) {
                Some((_, Some(next))) => problem.with_related(*next, "it includes this file here"),
                _ => problem,
            });
            return Ok(None);
        }
        if self.known.contains(&canonical) {
            return Ok(None);
        }
        if self.files.len() == MAX_FILES {
            return Err(format!("more than {MAX_FILES} files are included"));
        }
        let owners = TrustedOwners { extra: self.owner };
        let absolute = std::path::absolute(path).map_err(|reason| format!("can't read {name}: {reason}"))?;
        owners.check_file(&absolute).map_err(|error| format!("can't use {name}: {error}"))?;
        let text = match file_text::read_text(path) {
            Ok((_, _, text)) => text,
            Err(Error::Invalid(diagnostics)) => return Err(format!("can't read {name}: {diagnostics}")),
            Err(error) => return Err(error.to_string()),
        };
        self.bytes += text.len() as u64;
        if self.bytes > MAX_FILE_BYTES {
            return Err(format!("the included files are larger than {} MiB together", MAX_FILE_BYTES >> 20));
        }
        self.known.insert(canonical.clone());
        let mut own = Problems::default();
        let (first_id, number) = (self.next_id, self.files.len() + 1);
        let source = Source::new(&text);
        let root = parse_root(&source, &mut own);
        if self.folder.as_ref().is_none_or(|folder| !canonical.starts_with(folder))
            && let Some(reason) = refusal_reason(root.as_ref(), &source)
        {
            return Err(format!("can't use {name}: {reason}"));
        }
        let root = root.map(|root| root.into_owned(first_id));
        self.next_id = first_id.saturating_add(own.id_count);
        let checkpoints = std::mem::take(&mut own.checkpoints);
        problems.add_of_file(number, first_id, own);
        self.files.push(IncludedFile {
            path: path.to_owned(),
            name: path.display().to_string().into(),
            text,
            first_id,
            checkpoints,
        });
        let Some(mut root) = root else { return Ok(None) };
        self.on_the_way.push((canonical, Some(id)));
        self.add_to(&mut root, path, problems);
        self.on_the_way.pop();
        Ok(Some(root))
    }
}

/// Why a file outside of the folder of `jobs.yaml` is not one to include: none of its content is shown, as it may be a file
/// of another kind, with secrets.
fn refusal_reason(root: Option<&Node<'_>>, source: &Source<'_>) -> Option<String> {
    let Some(root) = root else { return Some("it is not valid YAML".to_owned()) };
    let NodeKind::Map(entries) = &root.kind else { return Some("it is not a map with `queues`".to_owned()) };
    let is_known = |name: &str| FileField::from_name(name).is_some() || name.starts_with("x-");
    let unknown = entries.iter().find(|entry| !is_known(&entry.key.text))?;
    let spans = spanned_value::find_spans(source, &[unknown.key.id], &Vec::new());
    let line = spans.first().map(|(_, span)| source.line_number(source.line_range(span.start).start));
    Some(format!("its line {} has an unknown field", line.unwrap_or(1)))
}

/// What included files may have.
const SECTIONS: [&str; 5] = [DEFAULTS, "pools", "inputs", SECRETS, QUEUES];

const DEFAULTS: &str = "defaults";
const QUEUES: &str = "queues";
const SECRETS: &str = "secrets";

/// The fields of `defaults` that are joined by name.
const JOINED_DEFAULTS: [&str; 2] = ["env", "limits"];

/// Adds the trees of included files to the tree of the file that includes them. What that file sets itself wins, except for
/// queues, which must be different. Its own values have ids before `own_end`.
fn join(root: &mut Node<'_>, parts: Vec<Node<'static>>, own_end: u32, problems: &mut Problems) {
    let NodeKind::Map(entries) = &mut root.kind else { return };
    let top = ValuePath::Top;
    for part in parts {
        if value::map(&part, &top, "a map with `queues`", problems).is_none() {
            continue;
        }
        let NodeKind::Map(part) = part.kind else { continue };
        for entry in part {
            let path = top.key(&entry.key.text);
            let Some(section) = SECTIONS.into_iter().find(|section| *section == entry.key.text) else {
                if FileField::from_name(&entry.key.text).is_none() && !entry.key.text.starts_with("x-") {
                    unknown_fields::report(&entry, FieldScope::Top, &path, problems);
                }
                continue;
            };
            let Some(own) = entries.iter_mut().find(|own| own.key.text == section) else {
                entries.push(entry);
                continue;
            };
            let joining = Joining { own_end, path: &path };
            match section {
                QUEUES => joining.join_queues(&mut own.value, &entry.value, problems),
                SECRETS => joining.join_names(&mut own.value, &entry.value, problems),
                _ => joining.join_maps(&mut own.value, &entry.value, section == DEFAULTS, problems),
            }
        }
    }
}

/// How a section of an included file is added to that of the file that includes it.
#[derive(Clone, Copy)]
struct Joining<'a> {
    /// The values that the file has set itself have ids before this.
    own_end: u32,
    path: &'a ValuePath<'a>,
}

impl Joining<'_> {
    /// Adds queues, in front of the file's own.
    fn join_queues(self, own: &mut Node<'_>, part: &Node<'static>, problems: &mut Problems) {
        let Some(part) = value::map(part, self.path, "a map of queues", problems) else { return };
        let Some(own) = map_mut(own) else { return };
        let front = own.iter().take_while(|queue| queue.key.id >= self.own_end).count();
        let mut known: HashMap<&str, _> = own.iter().map(|queue| (&*queue.key.text, queue.key.id)).collect();
        let mut added = Vec::new();
        for queue in part {
            if let Some(&first) = known.get(&*queue.key.text) {
                let message = format!("the queue {} is defined twice", quoted(&queue.key.text));
                let problem = Problem::new(queue.key.id, &self.path.key(&queue.key.text), message);
                let problem = problem.with_related(first, "it is also defined here");
                problems.add(problem.hint("give one of them another name, or write the jobs of both in one file"));
                continue;
            }
            known.insert(&queue.key.text, queue.key.id);
            added.push(queue.clone());
        }
        own.splice(front..front, added);
    }

    /// Adds what the file doesn't set itself. Two included files may not differ.
    fn join_maps(self, own: &mut Node<'_>, part: &Node<'static>, is_defaults: bool, problems: &mut Problems) {
        let Some(part) = value::map(part, self.path, "a map", problems) else { return };
        let Some(own) = map_mut(own) else { return };
        for entry in part {
            let path = self.path.key(&entry.key.text);
            let Some(known) = own.iter_mut().find(|known| known.key.text == entry.key.text) else {
                own.push(entry.clone());
                continue;
            };
            if is_defaults && JOINED_DEFAULTS.contains(&&*entry.key.text) {
                let joining = Joining { own_end: self.own_end, path: &path };
                joining.join_maps(&mut known.value, &entry.value, false, problems);
            } else if known.key.id >= self.own_end
                && (known.value.text().is_none() || known.value.text() != entry.value.text())
            {
                let message = format!("{} is set by two included files", quoted(&entry.key.text));
                let problem = Problem::new(entry.key.id, &path, message);
                let problem = problem.with_related(known.key.id, "it is also set here");
                problems.add(problem.hint("set it in the file that includes them, which wins"));
            }
        }
    }

    /// Adds names that are not there yet.
    fn join_names(self, own: &mut Node<'_>, part: &Node<'static>, problems: &mut Problems) {
        let NodeKind::List(names) = &part.kind else {
            let _ = value::unexpected::<()>(part, self.path, "a list", problems);
            return;
        };
        if let NodeKind::List(own) = &mut own.kind {
            for name in names {
                if name.text().is_none() || own.iter().all(|known| known.text() != name.text()) {
                    own.push(name.clone());
                }
            }
        }
    }
}

/// The entries of a map, or of nothing, which becomes one. None of another value, which is reported later.
fn map_mut<'n, 's>(node: &'n mut Node<'s>) -> Option<&'n mut Vec<MapEntry<'s>>> {
    if matches!(node.kind, NodeKind::Null) {
        node.kind = NodeKind::Map(Vec::new());
    }
    match &mut node.kind {
        NodeKind::Map(entries) => Some(entries),
        _ => None,
    }
}
