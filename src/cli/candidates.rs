//! Completion candidates: the names of queues and jobs that a command can take here.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap_complete::CompletionCandidate;

use super::site_args::SiteArgs;
use super::site_files::{foreign_owner, site_files};
use super::store_choice::{open_own_store, state_dir};
use super::templates::{TEMPLATES, Template};
use crate::definition;
use crate::model::{DesiredState, WorkerInfo};
use crate::store::Store;
use crate::text;

/// The queues.
pub(super) fn queues() -> Vec<CompletionCandidate> {
    names().into_iter().filter(|name| !name.is_job).filter_map(Candidate::candidate).collect()
}

/// The jobs that have a name.
pub(super) fn jobs() -> Vec<CompletionCandidate> {
    names().into_iter().filter(|name| name.is_job).filter_map(Candidate::candidate).collect()
}

/// Queues and jobs.
pub(super) fn targets() -> Vec<CompletionCandidate> {
    names().into_iter().filter_map(Candidate::candidate).collect()
}

/// The tags of jobs.
pub(super) fn tags() -> Vec<CompletionCandidate> {
    let mut tags = BTreeSet::new();
    for site in sites() {
        match site {
            SiteContent::Store(mut store) => {
                let state = store.load().unwrap_or_default();
                tags.extend(state.jobs().flat_map(|job| job.definition.tags.clone()));
            }
            SiteContent::File(plan) => {
                tags.extend(plan.queues.iter().flat_map(|queue| &queue.jobs).flat_map(|job| job.tags.clone()));
            }
        }
    }
    let name = |text: String| Candidate { is_job: false, text, title: String::new() };
    tags.into_iter().map(name).filter_map(Candidate::candidate).collect()
}

/// The settings of `set`.
pub(super) fn queue_settings() -> Vec<CompletionCandidate> {
    ["parallel=1", "parallel=file"].map(CompletionCandidate::new).into()
}

/// The templates of `init`.
pub(super) fn templates() -> Vec<CompletionCandidate> {
    let candidate = |template: &Template| CompletionCandidate::new(template.name).help(Some(template.summary().into()));
    TEMPLATES.iter().map(candidate).collect()
}

/// The name and title of a queue or job.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    is_job: bool,
    text: String,
    title: String,
}

impl Candidate {
    /// `None` for a name with control characters, or one that would be taken for an option.
    fn candidate(self) -> Option<CompletionCandidate> {
        if self.text.starts_with('-') || self.text.contains(char::is_control) {
            return None;
        }
        let title = text::sanitize_line(&self.title);
        let title = (!title.is_empty() && title != self.text).then(|| title.into());
        Some(CompletionCandidate::new(self.text).help(title))
    }
}

/// What has the names of a site: its store, or its file if it has none.
enum SiteContent {
    Store(Box<dyn Store>),
    File(DesiredState),
}

/// The sites that can be used here, without creating or changing anything. One that can't be read is omitted.
fn sites() -> Vec<SiteContent> {
    let args = site_args_from_command_line();
    let files = site_files(&args).unwrap_or_default();
    let files = files.into_iter().filter(|file| args.file.is_some() || foreign_owner(file).is_none());
    let content = |file: PathBuf| match state_dir(&args, &file).ok().and_then(|state| open_own_store(&args, &state)) {
        Some(store) => Some(SiteContent::Store(store)),
        None => definition::read(&file).ok().map(SiteContent::File),
    };
    files.filter_map(content).collect()
}

/// The numbers of the workers.
pub(super) fn workers() -> Vec<CompletionCandidate> {
    let mut candidates = Vec::new();
    for site in sites() {
        let SiteContent::Store(mut store) = site else { continue };
        let candidate = |worker: WorkerInfo| {
            let help = format!("process {} on {}", worker.pid, worker.host);
            CompletionCandidate::new(worker.id.to_string()).help(Some(text::sanitize_line(&help).into()))
        };
        // One that can't be read has none.
        candidates.extend(store.workers().unwrap_or_default().into_iter().map(candidate));
    }
    candidates
}

/// All names of queues and jobs.
fn names() -> BTreeSet<Candidate> {
    let mut names = BTreeSet::new();
    for site in sites() {
        match site {
            SiteContent::Store(mut store) => add_names_of_store(store.as_mut(), &mut names),
            SiteContent::File(plan) => add_names_of_file(plan, &mut names),
        }
    }
    names
}

fn add_names_of_store(store: &mut dyn Store, names: &mut BTreeSet<Candidate>) {
    // One that can't be read has no names.
    for queue in store.queues().unwrap_or_default() {
        names.insert(Candidate { is_job: false, text: queue.id.to_string(), title: queue.settings.title });
    }
    for (queue, name, title) in store.job_names().unwrap_or_default() {
        names.insert(Candidate { is_job: true, text: format!("{queue}/{name}"), title });
    }
}

fn add_names_of_file(plan: DesiredState, names: &mut BTreeSet<Candidate>) {
    for queue in plan.queues {
        for job in &queue.jobs {
            if let Some(name) = &job.name {
                let text = format!("{}/{name}", queue.id);
                names.insert(Candidate { is_job: true, text, title: job.title.to_string() });
            }
        }
        names.insert(Candidate { is_job: false, text: queue.id.to_string(), title: queue.settings.title });
    }
}

/// The site options on the command line that is being completed, which may be incomplete.
fn site_args_from_command_line() -> SiteArgs {
    let words: Vec<String> = std::env::args().skip_while(|word| word != "--").skip(2).collect();
    let value = |long: &str, short: &str| {
        let pair = words.windows(2).find(|pair| pair[0] == long || pair[0] == short).map(|pair| pair[1].clone());
        pair.or_else(|| words.iter().find_map(|word| Some(word.strip_prefix(long)?.strip_prefix('=')?.to_owned())))
    };
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    SiteArgs {
        file: value("--file", "-f").map(PathBuf::from).or_else(|| variable("SETLIST_FILE")),
        state: value("--state", "--state-dir").map(PathBuf::from).or_else(|| variable("SETLIST_STATE")),
        ..SiteArgs::default()
    }
}
