//! Asks for approval while `setlist process` runs, when a job is next to start. Without a terminal, says how to
//! approve.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::error::{CliError, warn};
use super::queue_or_job::sync_state;
use crate::model::{Command, Job, JobId, QueueId, SiteState};
use crate::runner::with_sigchld_blocked;
use crate::site::{open_store, user_name};
use crate::store::{StateDir, Store, StoreError};
use crate::text;
use crate::worker::Worker;

/// Follows a site, and asks the questions of its jobs.
pub(super) struct ApprovalPrompt {
    shared: Arc<PromptShared>,
    /// Whether there is a terminal to ask on.
    is_interactive: bool,
    is_reading: bool,
}

struct PromptShared {
    questions: Mutex<PromptState>,
    /// Set while an answer is awaited: the worker must not leave.
    answer_awaited: Arc<AtomicBool>,
    /// Lets the worker check again whether it may leave.
    wake: Mutex<Option<Box<dyn Fn() + Send>>>,
}

/// What was asked.
struct PromptState {
    queues: Vec<QueueId>,
    site_state: SiteState,
    /// The job whose question was printed last and has no answer yet.
    current: Option<JobId>,
    /// The jobs that were asked about, or reported.
    asked: HashSet<JobId>,
}

impl ApprovalPrompt {
    /// Follows the jobs of `queues`, starting from this state. `None` if none of them needs approval.
    pub(super) fn new(site_state: &SiteState, queues: &[QueueId], is_interactive: bool) -> Option<Self> {
        let any = queues.iter().any(|queue| site_state.awaiting_approval(queue).next().is_some());
        any.then(|| {
            let questions = PromptState {
                queues: queues.to_vec(),
                site_state: site_state.clone(),
                current: None,
                asked: HashSet::new(),
            };
            let (answer_awaited, wake) = (Arc::default(), Mutex::default());
            let shared = Arc::new(PromptShared { questions: Mutex::new(questions), answer_awaited, wake });
            Self { shared, is_interactive, is_reading: false }
        })
    }

    /// Keeps this worker from leaving while an answer is awaited. Answers are read from standard input, on a thread that
    /// ends with the process.
    pub(super) fn attach(&mut self, worker: &mut Worker, state: &StateDir) {
        worker.keep_running_while(Arc::clone(&self.shared.answer_awaited));
        *lock(&self.shared.wake) = Some(Box::new(worker.wake_handle()));
        if !self.is_interactive || self.is_reading {
            return;
        }
        self.is_reading = true;
        let (shared, state) = (Arc::clone(&self.shared), state.clone());
        let read = move || {
            loop {
                let mut line = String::new();
                let is_open = io::stdin().read_line(&mut line).is_ok_and(|len| len > 0);
                if let Err(error) = shared.answer(&state, line.trim()) {
                    warn(&format!("cannot record the answer: {error}"));
                }
                if let Some(wake) = &*lock(&shared.wake) {
                    wake();
                }
                if !is_open {
                    return;
                }
            }
        };
        with_sigchld_blocked(|| thread::spawn(read));
    }

    /// Catches up with the site. Asks the next question if it is due, or says how to approve the job.
    pub(super) fn check(&self, store: &mut dyn Store) -> Result<(), CliError> {
        let mut questions = lock(&self.shared.questions);
        sync_state(&mut questions.site_state, store)?;
        self.shared.ask_next(&mut questions, self.is_interactive);
        Ok(())
    }
}

impl PromptShared {
    /// Prints the next question that is due, unless one is open.
    fn ask_next(&self, questions: &mut PromptState, is_interactive: bool) {
        let PromptState { queues, site_state, current, asked } = questions;
        if let Some(job) = current.and_then(|id| site_state.job(id))
            && job.awaits_approval()
        {
            return;
        }
        *current = None;
        let due = queues.iter().flat_map(|queue| site_state.approvals_due(queue));
        for job in due.filter(|job| !asked.contains(&job.id)).collect::<Vec<_>>() {
            asked.insert(job.id);
            let (path, question) = (text::sanitize_line(&job.path()), question_of(job));
            if is_interactive {
                warn(&format!("{path} needs approval: {question} [y/N]"));
                *current = Some(job.id);
                break;
            }
            warn(&format!("{path} needs approval: {question} (`setlist approve {path}` approves it)"));
        }
        self.answer_awaited.store(current.is_some(), Ordering::Relaxed);
    }

    /// Records the answer to the open question, and asks the next one. `y` approves the job, anything else leaves it.
    fn answer(&self, state: &StateDir, line: &str) -> Result<(), StoreError> {
        let mut store = open_store(state)?;
        let mut questions = lock(&self.questions);
        if let Some(job) = questions.current.take()
            && matches!(line, "y" | "Y" | "yes")
        {
            store.execute(&[Command::Approve { jobs: vec![job], by: user_name() }], store.clock().now())?;
        }
        sync_state(&mut questions.site_state, store.as_mut())?;
        self.ask_next(&mut questions, true);
        Ok(())
    }
}

/// The question of a job, as one line.
fn question_of(job: &Job) -> String {
    text::sanitize_line(job.definition.scheduling.confirm.as_deref().unwrap_or_default())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
