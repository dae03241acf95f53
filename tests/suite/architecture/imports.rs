//! The import graph between source files: which file takes which names from which other file.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write;

use super::source::Source;

/// Paths are lists of names from the crate's root.
type ModulePath = Vec<String>;

/// A name that a `use` declaration brings into a module.
#[derive(Clone, Debug)]
struct Import {
    /// `None` for a glob.
    name: Option<String>,
    target: ModulePath,
    is_public: bool,
}

#[derive(Default)]
struct Module {
    file: usize,
    items: HashSet<String>,
    imports: Vec<Import>,
    /// Paths in expressions and types, such as `super::parse`, as written.
    paths: Vec<ModulePath>,
}

/// The names that each file takes from each other file. A re-export (`pub use`) is no dependency of the file that has it:
/// a file that uses the name depends on the file that defines it.
pub(crate) struct ImportGraph<'a> {
    sources: &'a [Source],
    modules: HashMap<ModulePath, Module>,
    edges: BTreeMap<usize, BTreeMap<usize, BTreeSet<String>>>,
}

impl<'a> ImportGraph<'a> {
    /// Reads the imports of all files below `src`.
    pub(crate) fn new(sources: &'a [Source]) -> Self {
        let mut graph = Self { sources, modules: HashMap::new(), edges: BTreeMap::new() };
        for (file, source) in sources.iter().enumerate() {
            if source.path != "src/main.rs" {
                let path = owned(&source.module());
                graph.modules.insert(path, Module { file, ..Module::default() });
            }
        }
        for (file, source) in sources.iter().enumerate() {
            if source.path != "src/main.rs" {
                graph.read(file, &source.without_tests());
            }
        }
        graph.connect();
        graph
    }

    /// Describes each import cycle: its files, and the names that tie them.
    pub(crate) fn cycles(&self) -> Vec<String> {
        let reachable: HashMap<usize, BTreeSet<usize>> =
            (0..self.sources.len()).map(|file| (file, self.reachable_from(file))).collect();
        let mut cycles = Vec::new();
        let mut seen = BTreeSet::new();
        for file in 0..self.sources.len() {
            let members: BTreeSet<usize> =
                reachable[&file].iter().copied().filter(|other| reachable[other].contains(&file)).collect();
            if members.is_empty() || !seen.insert(members.clone()) {
                continue;
            }
            let mut cycle = format!("import cycle of {} files:", members.len());
            for from in &members {
                for (to, names) in self.edges.get(from).into_iter().flatten().filter(|(to, _)| members.contains(to)) {
                    let names: Vec<_> = names.iter().map(String::as_str).collect();
                    let (from, to) = (&self.sources[*from].path, &self.sources[*to].path);
                    write!(cycle, "\n  {from} uses {} of {to}", names.join(", ")).unwrap();
                }
            }
            cycles.push(cycle);
        }
        cycles
    }

    fn reachable_from(&self, file: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut open = vec![file];
        while let Some(file) = open.pop() {
            for next in self.edges.get(&file).into_iter().flat_map(BTreeMap::keys) {
                if reached.insert(*next) {
                    open.push(*next);
                }
            }
        }
        reached
    }

    /// Collects the items, imports and paths of one file.
    fn read(&mut self, file: usize, source: &Source) {
        let here = owned(&source.module());
        let tokens = &source.tokens;
        let mut module = Module { file, ..Module::default() };
        let mut at = 0;
        while at < tokens.len() {
            match tokens[at].as_str() {
                "use" => {
                    let end = at + tokens[at..].iter().position(|token| token == ";").expect("`use` ends");
                    let is_public = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
                    for (path, name) in use_tree(&tokens[at + 1..end]) {
                        if let Some(target) = self.absolute(&here, &path) {
                            module.imports.push(Import { name, target, is_public });
                        }
                    }
                    at = end;
                }
                "struct" | "enum" | "trait" | "type" | "union" | "fn" | "const" | "static" => {
                    module.items.extend(tokens.get(at + 1).cloned());
                }
                "macro_rules" => module.items.extend(tokens.get(at + 2).cloned()),
                _ if starts_path(tokens, at) => {
                    let path = path_at(&tokens[at..]);
                    at += 3 * (path.len() - 1);
                    module.paths.push(path);
                }
                _ => {}
            }
            at += 1;
        }
        self.modules.insert(here, module);
    }

    /// A path as written in module `here`, from the crate's root; `None` if it leads out of the crate.
    fn absolute(&self, here: &[String], path: &[String]) -> Option<ModulePath> {
        let supers = path.iter().take_while(|name| *name == "super").count();
        let base = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" => here.to_vec(),
            "super" => here[..here.len().checked_sub(supers)?].to_vec(),
            name => {
                let child = [here, &[name.to_owned()]].concat();
                return self.modules.contains_key(&child).then(|| [here, path].concat());
            }
        };
        Some([&base, &path[supers.max(1)..]].concat())
    }

    fn connect(&mut self) {
        let mut found = Vec::new();
        for (here, module) in &self.modules {
            for import in module.imports.iter().filter(|import| !import.is_public) {
                let to = match &import.name {
                    Some(_) => self.resolve(&import.target, 0),
                    None => self.modules.get(&import.target).map(|module| module.file),
                };
                found.push((module.file, to, import.target.last().cloned().unwrap_or_default()));
            }
            for path in &module.paths {
                let local = module.imports.iter().find(|import| import.name.as_ref() == path.first());
                let target = match local {
                    Some(import) => Some([&import.target, &path[1..]].concat()),
                    None => self.absolute(here, path),
                };
                let to = target.and_then(|target| self.resolve(&target, 0));
                found.push((module.file, to, path.join("::")));
            }
        }
        for (from, to, name) in found {
            if let Some(to) = to.filter(|to| *to != from) {
                self.edges.entry(from).or_default().entry(to).or_default().insert(name);
            }
        }
    }

    /// The file that defines what a path leads to, through re-exports; `None` if that is a module.
    fn resolve(&self, path: &[String], depth: usize) -> Option<usize> {
        assert!(depth < 20, "re-exports of {path:?} are cyclic");
        let mut module = ModulePath::new();
        for (nth, name) in path.iter().enumerate() {
            let child = [module.as_slice(), std::slice::from_ref(name)].concat();
            let is_last = nth + 1 == path.len();
            let Module { file, items, imports, .. } = &self.modules[&module];
            let import = imports.iter().find(|import| import.name.as_ref() == Some(name) && import.target != child);
            if self.modules.contains_key(&child) && !(is_last && (import.is_some() || items.contains(name))) {
                module = child;
                continue;
            }
            if let Some(import) = import {
                return self.resolve(&[&import.target, &path[nth + 1..]].concat(), depth + 1);
            }
            if !items.contains(name) {
                let globs = imports.iter().filter(|import| import.name.is_none());
                let source =
                    globs.filter_map(|glob| self.modules.get(&glob.target)).find(|source| source.items.contains(name));
                if let Some(source) = source {
                    return Some(source.file);
                }
            }
            // An item, or a name that a macro defines.
            return Some(*file);
        }
        None
    }
}

fn owned(path: &[&str]) -> ModulePath {
    path.iter().copied().map(str::to_owned).collect()
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn is_separator(tokens: &[String], at: usize) -> bool {
    tokens.get(at).is_some_and(|token| token == ":") && tokens.get(at + 1).is_some_and(|token| token == ":")
}

/// Whether a path of at least two names starts here.
fn starts_path(tokens: &[String], at: usize) -> bool {
    let follows_separator = at >= 2 && is_separator(tokens, at - 2);
    is_name(&tokens[at]) && !follows_separator && path_at(&tokens[at..]).len() > 1
}

/// The path at the start of `tokens`, as far as it consists of names.
fn path_at(tokens: &[String]) -> ModulePath {
    let mut path = vec![tokens[0].clone()];
    while is_separator(tokens, 3 * path.len() - 2) && tokens.get(3 * path.len()).is_some_and(|token| is_name(token)) {
        path.push(tokens[3 * path.len()].clone());
    }
    path
}

/// The paths of a `use` declaration and the names that they get; `None` for a glob, whose path is the module.
fn use_tree(tokens: &[String]) -> Vec<(ModulePath, Option<String>)> {
    let mut leaves = Vec::new();
    let mut prefixes: Vec<ModulePath> = vec![Vec::new()];
    let mut path = ModulePath::new();
    let mut alias = None;
    let mut at = 0;
    let mut finish = |path: &mut ModulePath, alias: &mut Option<String>, depth: usize| {
        let is_empty = path.len() == depth;
        match path.last().map(String::as_str) {
            _ if is_empty => {}
            Some("*") => leaves.push((path[..path.len() - 1].to_vec(), None)),
            Some("self") if path.len() > 1 => {
                path.pop();
                leaves.push((path.clone(), alias.take().or_else(|| path.last().cloned())));
            }
            _ => leaves.push((path.clone(), alias.take().or_else(|| path.last().cloned()))),
        }
    };
    while at < tokens.len() {
        let prefix = prefixes.last().expect("braces are balanced").clone();
        match tokens[at].as_str() {
            "{" => prefixes.push(path.clone()),
            "}" | "," => {
                finish(&mut path, &mut alias, prefix.len());
                if tokens[at] == "}" {
                    prefixes.pop();
                    // Nothing is left of a group but its prefix, which is no leaf.
                    path.clone_from(prefixes.last().expect("braces are balanced"));
                } else {
                    path = prefix;
                }
            }
            "as" => {
                at += 1;
                alias = tokens.get(at).cloned();
            }
            ":" => {}
            name => path.push(name.to_owned()),
        }
        at += 1;
    }
    finish(&mut path, &mut alias, 0);
    leaves
}
