//! Asks for the inputs of queues before their jobs are requested.

use chrono::{DateTime, Utc};

use crate::model::{Command, InputDeclaration, InputValues, Job, JobId, QueueId, SiteState};
use crate::text::count_noun;
use crate::tui::dialog::Dialog;
use crate::tui::effect::{Effect, StoreRequest, Submission};
use crate::tui::input_form::{FormField, InputForm};
use crate::tui::state::Screen;

/// What is requested of a queue that has inputs.
struct RequestedWork<'s> {
    queue: QueueId,
    /// The job, if not the whole queue.
    job: Option<&'s Job>,
    declared: &'s [InputDeclaration],
}

impl Screen {
    /// Opens a form in place of the effect if that requests jobs whose inputs are to be asked for.
    pub(in crate::tui) fn ask_for_inputs(&mut self, effects: Vec<Effect>, now: DateTime<Utc>) -> Vec<Effect> {
        let [Effect::Store(StoreRequest::Submit(submission))] = &effects[..] else { return effects };
        let Some(form) = self.input_form(submission, now) else { return effects };
        self.open_dialog(Dialog::Inputs(form));
        Vec::new()
    }

    fn input_form(&self, submission: &Submission, now: DateTime<Utc>) -> Option<InputForm> {
        let site = &self.site;
        // What the store refuses anyway needs no values.
        let accepted = |command: &&Command| request_of(command).is_some() && site.check(command, now).is_ok();
        let commands: Vec<&Command> = submission.commands.iter().filter(accepted).collect();
        site.read(|site_state| {
            let requests = commands.iter().filter_map(|command| requested_work(command, site_state));
            let requests: Vec<RequestedWork<'_>> = requests.collect();
            let fields = match &requests[..] {
                // A queue, or one job.
                [RequestedWork { job: Some(job), declared, .. }] => {
                    let values = job.input_values(declared, &InputValues::default());
                    declared.iter().map(|input| FormField::new(input.clone(), &values, &values)).collect()
                }
                // Jobs that run again keep their values; what some of them lack is asked for.
                requests if requests.iter().any(|request| request.job.is_some()) => missing_fields(requests),
                requests => queue_fields(requests, site_state),
            };
            let title = title(&requests);
            (!fields.is_empty()).then(|| InputForm::new(title, fields, submission.clone()))
        })
    }
}

/// The queue or the job that a command asks to run.
fn request_of(command: &Command) -> Option<(Option<&QueueId>, Option<JobId>)> {
    match command {
        Command::Process { queue } => Some((Some(queue), None)),
        Command::Run { job, .. } | Command::RunFailed { job, .. } => Some((None, Some(*job))),
        _ => None,
    }
}

fn requested_work<'s>(command: &Command, site_state: &'s SiteState) -> Option<RequestedWork<'s>> {
    let (queue, job) = request_of(command)?;
    let job = job.and_then(|job| site_state.job(job));
    let queue = queue.or(job.map(|job| &job.queue))?;
    let declared = &*site_state.queue(queue)?.settings.inputs;
    (!declared.is_empty()).then(|| RequestedWork { queue: queue.clone(), job, declared })
}

fn title(requests: &[RequestedWork<'_>]) -> String {
    match requests {
        [RequestedWork { job: Some(job), .. }] => format!("Run {}", job.path()),
        [RequestedWork { job: None, queue, .. }] => format!("Start {queue}"),
        requests if requests.iter().any(|request| request.job.is_some()) => {
            format!("Run {}", count_noun(requests.len(), "job"))
        }
        requests => format!("Start {}", count_noun(requests.len(), "queue")),
    }
}

/// Adds a field, or an input to the field of the same name.
fn add_field(fields: &mut Vec<FormField>, input: &InputDeclaration, last: &InputValues) {
    match fields.iter_mut().find(|field| field.declaration().name == input.name) {
        Some(field) => field.add(input.clone()),
        None => fields.push(FormField::new(input.clone(), &InputValues::default(), last)),
    }
}

/// A field for each input that some of these jobs have no value for.
fn missing_fields(requests: &[RequestedWork<'_>]) -> Vec<FormField> {
    let mut fields = Vec::new();
    for RequestedWork { job, declared, .. } in requests {
        let values = job.map(|job| job.input_values(declared, &InputValues::default())).unwrap_or_default();
        for input in declared.iter().filter(|input| input.default.is_none() && !values.contains_key(&input.name)) {
            let is_known = |field: &FormField| field.has_input(input);
            if !fields.iter().any(is_known) {
                add_field(&mut fields, input, &InputValues::default());
            }
        }
    }
    fields
}

/// A field for each input of these queues. Those of the last run are offered.
fn queue_fields(requests: &[RequestedWork<'_>], site_state: &SiteState) -> Vec<FormField> {
    let mut fields = Vec::new();
    for RequestedWork { queue, declared, .. } in requests {
        let last = site_state.input_values(queue, &InputValues::default());
        declared.iter().for_each(|input| add_field(&mut fields, input, &last));
    }
    fields
}
