//! The contract of every store (DESIGN §5), checked for each backend by the same functions.

mod backend_site;
#[macro_use]
mod each_backend;
mod changing_items;
mod expectations;
mod freshness;
mod inputs;
mod job_counts;
mod leases;
mod old_formats;
mod ordering;
mod pools;
mod processes;
mod random_commands;
mod requests;
mod reservation_lock;
mod reservations;
mod results;
mod retention;
mod schedules;
mod scheduling;
mod server_faults;
mod small_outputs;
mod state_files;
mod subscriptions;
mod terminal_input;
mod values;
mod workers;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{thread, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use setlist::model::{
    Arguments, Command, Definition, DesiredQueue, DesiredState, Event, ExecOptions, Exit, JobId, Outcome, Phase,
    Placement, Program, QueueId, QueueMode, QueueSettings, Refusal, RunId, RunReport, Script, Site, StopSignal, Value,
    WorkerId, WorkerOptions,
};
use setlist::store::{CommandResult, StateDir, Store};

pub(crate) use backend_site::BackendSite;
use ordering::{
    a_changed_parallel_lasts_until_the_file_changes, a_job_adopts_the_file_entry_announced_for_it,
    a_limit_for_a_worker_ends_with_it, jobs_are_reordered_by_a_store_that_has_read_none, jobs_can_be_reordered,
    jobs_can_be_transferred_between_queues, jobs_come_in_pages_in_queue_order, jobs_start_in_queue_order,
    requested_jobs_start_first,
};
use requests::{
    a_job_runs_for_the_user_who_requested_it, an_environment_is_in_use_until_its_jobs_have_finished,
    the_first_request_for_a_queue_counts_until_it_is_idle, what_follows_from_a_request_has_its_environment,
};
use reservations::{
    a_reserved_job_starts_when_another_ends_and_is_not_claimed_by_others, only_jobs_that_fit_any_slot_are_reserved,
    reserved_jobs_are_not_changed_until_released, started_reservations_of_a_dead_worker_are_interrupted,
};
use results::{
    a_job_has_the_result_of_its_last_run_or_none, a_job_that_stopped_its_queue_keeps_its_result,
    each_run_keeps_its_cause_and_what_it_used, failed, the_runs_of_a_period_are_found_by_time_and_queue,
};
use retention::{old_jobs_are_pruned_unless_the_file_has_them, old_runs_are_pruned_except_the_latest};
use schedules::{
    a_due_job_runs_once_and_keeps_its_history, a_due_queue_runs_its_jobs_again, a_paused_queue_skips_its_due_times,
    a_removed_schedule_ends, a_scheduled_job_waits_for_its_needs, all_missed_due_times_are_made_up_for_if_configured,
    due_times_decided_ahead_of_the_clock_are_decided_again, due_times_overlap_as_configured,
    many_missed_due_times_run_once, no_due_time_is_decided_twice, very_many_due_times_are_counted,
};
use scheduling::{
    a_failed_job_is_retried_after_its_delay, a_job_does_not_start_before_its_time,
    a_job_that_needs_approval_waits_for_it_and_nothing_else_does, a_job_waits_for_its_needs,
    a_job_waits_for_its_time_before_approval, a_job_whose_need_fails_is_skipped_and_comes_back_when_it_succeeds,
    a_need_can_accept_failure_or_any_outcome, a_queue_waits_for_needs_in_other_queues_unless_they_cannot_progress,
    a_request_does_not_override_approval_unless_it_is_forced,
    a_request_for_a_job_whose_need_failed_is_refused_unless_it_is_forced,
    a_request_overrides_a_pause_unless_it_came_before, an_interrupted_job_is_retried_if_configured,
    an_interruption_need_not_count_as_an_attempt, higher_priority_starts_first_and_weight_uses_slots,
    no_job_waits_longer_than_its_delay_after_the_clock_was_set_back,
};
use subscriptions::{a_change_notifies_subscribers, a_dropped_subscription_is_not_notified, subscribe};

contract! {
    acknowledged_changes_are_visible_to_new_connections,
    a_success_is_not_run_again,
    no_job_is_claimed_twice,
    parallel_limits_all_workers_together,
    jobs_start_in_queue_order,
    requested_jobs_start_first,
    higher_priority_starts_first_and_weight_uses_slots,
    a_job_waits_for_its_needs,
    a_job_whose_need_fails_is_skipped_and_comes_back_when_it_succeeds,
    a_need_can_accept_failure_or_any_outcome,
    a_queue_waits_for_needs_in_other_queues_unless_they_cannot_progress,
    no_job_waits_longer_than_its_delay_after_the_clock_was_set_back,
    a_failed_job_is_retried_after_its_delay,
    an_interrupted_job_is_retried_if_configured,
    an_interruption_need_not_count_as_an_attempt,
    a_job_does_not_start_before_its_time,
    a_job_that_needs_approval_waits_for_it_and_nothing_else_does, a_request_does_not_override_approval_unless_it_is_forced, a_request_for_a_job_whose_need_failed_is_refused_unless_it_is_forced, a_request_overrides_a_pause_unless_it_came_before, a_job_waits_for_its_time_before_approval,
    a_due_job_runs_once_and_keeps_its_history,
    a_due_queue_runs_its_jobs_again,
    a_scheduled_job_waits_for_its_needs,
    many_missed_due_times_run_once,
    all_missed_due_times_are_made_up_for_if_configured,
    due_times_overlap_as_configured,
    a_paused_queue_skips_its_due_times,
    a_removed_schedule_ends,
    no_due_time_is_decided_twice,
    due_times_decided_ahead_of_the_clock_are_decided_again,
    very_many_due_times_are_counted,
    jobs_come_in_pages_in_queue_order,
    jobs_can_be_reordered,
    jobs_are_reordered_by_a_store_that_has_read_none,
    jobs_can_be_transferred_between_queues,
    a_job_adopts_the_file_entry_announced_for_it,
    a_limit_for_a_worker_ends_with_it,
    a_changed_parallel_lasts_until_the_file_changes,
    a_refused_command_changes_nothing,
    a_batch_is_executed_in_order,
    all_runs_of_a_job_are_recorded,
    the_runs_of_a_dead_worker_are_interrupted,
    a_reserved_job_starts_when_another_ends_and_is_not_claimed_by_others,
    reserved_jobs_are_not_changed_until_released,
    only_jobs_that_fit_any_slot_are_reserved,
    started_reservations_of_a_dead_worker_are_interrupted,
    a_removed_job_can_be_read_and_restored,
    old_runs_are_pruned_except_the_latest,
    old_jobs_are_pruned_unless_the_file_has_them,
    a_reconciled_file_is_in_effect,
    followers_get_every_event_once_and_in_order,
    a_follower_that_is_too_far_behind_has_to_reload,
    definitions_are_stored_exactly,
    loading_many_jobs_reads_one_snapshot,
    a_job_has_the_result_of_its_last_run_or_none,
    a_job_that_stopped_its_queue_keeps_its_result,
    each_run_keeps_its_cause_and_what_it_used,
    the_runs_of_a_period_are_found_by_time_and_queue,
    a_job_runs_for_the_user_who_requested_it, the_first_request_for_a_queue_counts_until_it_is_idle,
    what_follows_from_a_request_has_its_environment,
    an_environment_is_in_use_until_its_jobs_have_finished,
    a_change_notifies_subscribers, a_dropped_subscription_is_not_notified,
}

fn queue() -> QueueId {
    QueueId::from("build")
}

/// A time relative to a fixed start.
fn at(millis: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(millis)
}

fn definition(title: &str) -> Arc<Definition> {
    Arc::new(Definition { title: title.into(), ..Definition::new(Script::shell("true")) })
}

fn add(count: usize) -> Command {
    Command::Add { queue: queue(), jobs: (1..=count).map(|nth| definition(&format!("job {nth}"))).collect() }
}

fn settings(parallel: u32) -> QueueSettings {
    QueueSettings { parallel, ..QueueSettings::default() }
}

/// A file with one queue that runs `parallel` jobs at once.
fn reconcile(version: &str, parallel: u32, jobs: Vec<Arc<Definition>>) -> Command {
    let queues = vec![DesiredQueue { id: queue(), settings: settings(parallel), jobs }];
    Command::Reconcile(Box::new(DesiredState { version: version.to_owned(), queues, ..DesiredState::default() }))
}

fn process() -> Command {
    Command::Process { queue: queue() }
}

fn claim(worker: WorkerId) -> Command {
    Command::Claim { worker, queues: None }
}

fn report(job: JobId, run: RunId, outcome: Outcome) -> Command {
    let report = RunReport { exit: Some(Exit::Code(0)), value: Some("fine".into()), ..RunReport::new(outcome) };
    Command::EndRun { job, run, report, on_failure: None }
}

/// Executes one command that must be accepted.
fn accept(store: &mut dyn Store, command: Command) -> Vec<Event> {
    execute(store, command).unwrap()
}

fn execute(store: &mut dyn Store, command: Command) -> CommandResult {
    store.execute(&[command], at(0)).unwrap().remove(0)
}

fn join(store: &mut dyn Store) -> WorkerId {
    match &accept(
        store,
        Command::Join { host: "here".to_owned(), pid: 7, queues: None, options: WorkerOptions::default() },
    )[..]
    {
        [Event::WorkerJoined { worker }] => worker.id,
        events => panic!("{events:?}"),
    }
}

/// The job and run that a claim has started.
fn started(answer: &CommandResult) -> Option<(JobId, RunId)> {
    match answer.as_deref() {
        Ok([Event::Started { job, run }]) => Some((*job, run.id)),
        _ => None,
    }
}

fn try_claim(store: &mut dyn Store, worker: WorkerId) -> Option<(JobId, RunId)> {
    started(&execute(store, claim(worker)))
}

/// Joins as a worker and runs all available jobs; returns them.
fn run_all(store: &mut dyn Store) -> Vec<JobId> {
    let worker = join(store);
    let mut ran = Vec::new();
    let mut next = try_claim(store, worker);
    while let Some((job, run)) = next {
        ran.push(job);
        let answers = store.execute(&[report(job, run, Outcome::Succeeded), claim(worker)], at(1)).unwrap();
        assert!(answers[0].is_ok(), "{answers:?}");
        next = started(&answers[1]);
    }
    ran
}

fn acknowledged_changes_are_visible_to_new_connections(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, add(3));
    accept(&mut *store, process());
    let worker = join(&mut *store);
    let (first, run) = try_claim(&mut *store, worker).unwrap();
    accept(&mut *store, report(first, run, Outcome::Succeeded));
    let (second, run) = try_claim(&mut *store, worker).unwrap();
    accept(&mut *store, report(second, run, failed()));
    try_claim(&mut *store, worker).unwrap();
    let before = store.load().unwrap();
    drop(store);

    let after = backend.connect().load().unwrap();
    assert_eq!(after, before);
    let succeeded = after.job(first).unwrap();
    assert_eq!(succeeded.value.as_deref(), Some(&"fine".into()));
    assert_eq!(succeeded.executed, Some(at(0)));
    assert_eq!(after.job(second).unwrap().outcome(), Some(&failed()));
    assert_eq!(after.queue(&queue()).unwrap().running.len(), 1);
    assert_eq!(after.queue(&queue()).unwrap().mode, QueueMode::Processing);
}

fn a_success_is_not_run_again(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, add(5));
    accept(&mut *store, process());
    let ran = run_all(&mut *store);
    assert_eq!(ran.len(), 5);
    assert_eq!(run_all(&mut *backend.connect()), []);
    let refused = execute(&mut *store, process());
    assert!(refused.is_err(), "nothing is pending: {refused:?}");
    accept(&mut *store, add(1));
    accept(&mut *store, process());
    assert_eq!(run_all(&mut *backend.connect()), [JobId(6)], "only the new one");
    accept(&mut *store, Command::Run { job: JobId(2), force: false });
    assert_eq!(run_all(&mut *backend.connect()), [JobId(2)], "unless requested");
}

fn no_job_is_claimed_twice(backend: &BackendSite) {
    const JOBS: usize = 300;
    let mut store = backend.connect();
    accept(&mut *store, reconcile("1", 1_000, Vec::new()));
    accept(&mut *store, add(JOBS));
    accept(&mut *store, process());
    let ran: Vec<JobId> = thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| run_all(&mut *backend.connect()))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(ran.len(), JOBS);
    assert_eq!(ran.iter().collect::<BTreeSet<_>>().len(), JOBS);
    let site_state = store.load().unwrap();
    assert_eq!(site_state.queue(&queue()).unwrap().finished.len(), JOBS);
    assert!(site_state.jobs().all(|job| job.attempts == 1));
}

fn parallel_limits_all_workers_together(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, reconcile("1", 3, Vec::new()));
    accept(&mut *store, add(60));
    accept(&mut *store, process());
    let (running, max_running) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let ran = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                let mut store = backend.connect();
                let (_subscription, notifications) = subscribe(&*store);
                let worker = join(&mut *store);
                while ran.load(Ordering::SeqCst) < 60 {
                    let Some((job, run)) = try_claim(&mut *store, worker) else {
                        notifications.recv_timeout(TIMEOUT).unwrap();
                        continue;
                    };
                    max_running.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    ran.fetch_add(1, Ordering::SeqCst);
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    accept(&mut *store, report(job, run, Outcome::Succeeded));
                }
            });
        }
    });
    assert!(max_running.into_inner() <= 3);
    // No run ends, so the limit alone decides how many start.
    accept(&mut *store, add(5));
    accept(&mut *store, process());
    let worker = join(&mut *store);
    let starts = (0..5).filter(|_| try_claim(&mut *store, worker).is_some()).count();
    assert_eq!(starts, 3);
}

fn a_refused_command_changes_nothing(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, add(2));
    accept(&mut *store, process());
    let worker = join(&mut *store);
    let (running, run) = try_claim(&mut *store, worker).unwrap();
    let before = store.load().unwrap();
    let unknown_worker = WorkerId(99);
    let refused = [
        Command::Process { queue: queue() },
        Command::Process { queue: "none".into() },
        Command::Pause { queue: "none".into() },
        Command::Run { job: running, force: false },
        Command::Run { job: JobId(99), force: false },
        Command::Reset { job: running },
        Command::Cancel { job: JobId(99), stop: StopSignal::Kill },
        Command::Remove { jobs: vec![JobId(2), running] },
        Command::Clear { queue: queue(), phase: Phase::Finished },
        Command::Clear { queue: queue(), phase: Phase::Running },
        Command::Restore { jobs: vec![JobId(2)] },
        Command::Claim { worker, queues: None },
        Command::Start { worker, job: running },
        report(running, RunId(run.0 + 1), Outcome::Succeeded),
        report(JobId(2), run, Outcome::Succeeded),
        Command::ReapWorker { worker: unknown_worker, started_runs: Vec::new(), unreachable_host: None },
        Command::Leave { worker, queues: None },
    ];
    let answers = store.execute(&refused, at(9)).unwrap();
    for (command, answer) in refused.iter().zip(&answers) {
        let refusal = answer.as_ref().expect_err(&format!("{command:?}"));
        assert!(!refusal.to_string().is_empty());
    }
    assert_eq!(store.load().unwrap(), before);
    assert_eq!(backend.connect().load().unwrap(), before);
    assert_eq!(store.events_after(before.seq()).unwrap(), Some(Vec::new()));
}

fn a_batch_is_executed_in_order(backend: &BackendSite) {
    let mut store = backend.connect();
    let worker = join(&mut *store);
    let batch = [process(), add(1), process(), claim(worker), claim(worker), Command::Pause { queue: queue() }];
    let answers = store.execute(&batch, at(5)).unwrap();
    let accepted: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(accepted, [false, true, true, true, false, true]);
    assert_eq!(answers[0], Err(Refusal::UnknownQueue("build".to_owned())));
    let returned: Vec<Event> = answers.into_iter().flatten().flatten().collect();
    let recorded = store.events_after(1).unwrap().unwrap();
    assert_eq!(recorded.iter().map(|recorded| recorded.seq).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert!(recorded.iter().all(|recorded| recorded.at == at(5)));
    assert_eq!(recorded.into_iter().map(|recorded| recorded.event).collect::<Vec<_>>(), returned);
}

fn all_runs_of_a_job_are_recorded(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, add(1));
    let worker = join(&mut *store);
    let job = JobId(1);
    let outcomes = [failed(), Outcome::Cancelled, Outcome::Succeeded];
    for outcome in &outcomes {
        accept(&mut *store, Command::Run { job, force: false });
        let (_, run) = try_claim(&mut *store, worker).unwrap();
        let mut ended = report(job, run, outcome.clone());
        if let (Command::EndRun { report, .. }, Outcome::Cancelled) = (&mut ended, outcome) {
            report.exit = Some(Exit::Signal(15));
        }
        accept(&mut *store, ended);
    }
    accept(&mut *store, Command::Run { job, force: false });
    try_claim(&mut *store, worker).unwrap();

    let runs = backend.connect().runs(job).unwrap();
    assert_eq!(runs.iter().map(|run| run.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(runs.iter().all(|run| run.worker == worker));
    let ends: Vec<_> = runs.iter().filter_map(|run| run.end.clone()).collect();
    assert_eq!(ends.iter().map(|ending| ending.outcome.clone()).collect::<Vec<_>>(), outcomes);
    assert_eq!(ends[1].exit, Some(Exit::Signal(15)));
    assert_eq!(store.job(job).unwrap().unwrap().last_run.as_deref(), runs.last());
    assert_eq!(store.runs(JobId(2)).unwrap(), []);
}

fn the_runs_of_a_dead_worker_are_interrupted(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, reconcile("1", 5, Vec::new()));
    accept(&mut *store, add(4));
    accept(&mut *store, process());
    let (dead, alive) = (join(&mut *store), join(&mut *store));
    let (first, run) = try_claim(&mut *store, dead).unwrap();
    let (second, _) = try_claim(&mut *store, dead).unwrap();
    let (third, _) = try_claim(&mut *store, alive).unwrap();
    accept(
        &mut *backend.connect(),
        Command::ReapWorker { worker: dead, started_runs: Vec::new(), unreachable_host: None },
    );

    let site_state = store.load().unwrap();
    for job in [first, second] {
        assert_eq!(site_state.job(job).unwrap().outcome(), Some(&Outcome::Interrupted));
    }
    assert_eq!(site_state.job(third).unwrap().phase(), Phase::Running);
    assert_eq!(site_state.workers().map(|worker| worker.id).collect::<Vec<_>>(), [alive]);
    let late = execute(&mut *store, report(first, run, Outcome::Succeeded));
    assert_eq!(late, Err(Refusal::StaleRun { job: first, run }), "its report is too late");
}

fn a_removed_job_can_be_read_and_restored(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, add(3));
    accept(&mut *store, process());
    let worker = join(&mut *store);
    let (job, run) = try_claim(&mut *store, worker).unwrap();
    accept(&mut *store, report(job, run, failed()));
    let before = store.load().unwrap();
    accept(&mut *store, Command::Remove { jobs: vec![job] });
    assert!(store.load().unwrap().job(job).is_none());
    assert_eq!(store.job(job).unwrap().as_ref(), before.job(job), "its record is kept");
    assert_eq!(store.runs(job).unwrap().len(), 1);
    assert_eq!(store.removed_jobs().unwrap().iter().collect::<Vec<_>>(), [before.job(job).unwrap()]);
    accept(&mut *store, add(1));
    accept(&mut *store, Command::Restore { jobs: vec![job] });
    let after = store.load().unwrap();
    assert_eq!(after.job(job), before.job(job));
    assert_eq!(after.counters().job, 4, "numbers are not reused");
    assert_eq!(store.removed_jobs().unwrap(), []);
}

fn a_reconciled_file_is_in_effect(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, reconcile("one", 2, Vec::new()));
    let again = accept(&mut *backend.connect(), reconcile("one", 9, Vec::new()));
    assert_eq!(again, [], "the same version changes nothing");
    accept(&mut *store, reconcile("two", 4, Vec::new()));
    let site_state = backend.connect().load().unwrap();
    assert_eq!(site_state.file_version(), Some("two"));
    assert_eq!(site_state.queue(&queue()).unwrap().settings.parallel, 4);
}

const TIMEOUT: Duration = Duration::from_secs(60);

fn followers_get_every_event_once_and_in_order(backend: &BackendSite) {
    const EACH: usize = 40;
    let mut follower = backend.connect();
    let (_subscription, notifications) = subscribe(&*follower);
    let copy = Site::with_state(follower.load().unwrap(), "copy");
    let mut order = Vec::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut store = backend.connect();
                for _ in 0..EACH {
                    accept(&mut *store, add(2));
                }
            });
        }
        while copy.read(|site_state| site_state.jobs().count()) < 4 * EACH * 2 {
            notifications.recv_timeout(TIMEOUT).unwrap();
            let news = follower.events_after(copy.read(setlist::model::SiteState::seq)).unwrap().unwrap();
            order.extend(news.iter().map(|recorded| recorded.seq));
            copy.apply_records(&news);
        }
    });
    assert!(order.iter().copied().eq(1..=order.len() as u64));
    let mut fresh = backend.connect();
    copy.read(|site_state| assert_eq!(*site_state, fresh.load().unwrap()));
}

fn a_follower_that_is_too_far_behind_has_to_reload(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, add(1));
    let stale = store.load().unwrap();
    accept(&mut *store, add(25_000));
    let last = store.load().unwrap().seq();
    assert_eq!(last, 25_002);
    assert_eq!(store.events_after(stale.seq()).unwrap(), None);
    assert_eq!(store.events_after(last + 1).unwrap(), None, "a sequence number of another site");
    for _ in 0..3 {
        accept(&mut *store, add(900));
    }
    let known = store.events_after(last).unwrap().unwrap();
    assert!(known.iter().map(|recorded| recorded.seq).eq(last + 1..=last + 2_700));
    let far = store.events_after(last + 2_700 - 10_000).unwrap().unwrap();
    assert_eq!(far.len(), 10_000, "this many are always retained");
}

fn definitions_are_stored_exactly(backend: &BackendSite) {
    let plain = Definition::new(Script::command(["echo", "two words", ""]));
    let zsh = Program::Run { text: "echo $1".into(), shell: vec!["zsh".to_owned()].into() };
    let env = [("A".to_owned(), None), ("B".to_owned(), Some("b".to_owned()))].into();
    let full = Script::new(zsh).with_exec(ExecOptions {
        env,
        cwd: Some("sub".into()),
        ok_codes: [0, 3].into(),
        ..ExecOptions::default()
    });
    let kwargs = [("z", 1.into()), ("a", Value::Null)].map(|(name, value)| (name.to_owned(), value));
    let arguments = Arc::new(Arguments { args: vec!["x".into()], kwargs: kwargs.into_iter().collect() });
    let tags = vec!["slow".to_owned()];
    let titled = Definition { title: "It's \"5\"".into(), arguments, tags: tags.into(), ..Definition::new(full) };
    let quiet = Script::command(["cat"]).with_exec(ExecOptions {
        stdin: Some(String::new()),
        grace: Duration::ZERO,
        ..ExecOptions::default()
    });
    let forms = [plain, titled, Definition::new(quiet), Definition::new(Script::shell(""))];
    let named = |(nth, form): (i64, Definition)| {
        Arc::new(Definition { name: Some(format!("job-{nth}").into()), digest: Some(-nth), ..form })
    };
    let jobs: Vec<_> = (0..).zip(forms).map(named).collect();
    let mut store = backend.connect();
    let check = |store: &mut dyn Store, jobs: &[Arc<Definition>]| {
        let site_state = store.load().unwrap();
        for (nth, definition) in (1..).zip(jobs) {
            assert_eq!(site_state.job(JobId(nth)).unwrap().definition, *definition);
            assert_eq!(store.job(JobId(nth)).unwrap().unwrap().definition, *definition);
        }
    };
    accept(&mut *store, reconcile("one", 1, jobs.clone()));
    check(&mut *backend.connect(), &jobs);
    // Each job gets the definition of the next.
    let forms = jobs.iter().cycle().skip(1).take(jobs.len()).map(|job| (**job).clone());
    let turned: Vec<_> = (0..).zip(forms).map(named).collect();
    accept(&mut *store, reconcile("two", 1, turned.clone()));
    check(&mut *backend.connect(), &turned);
}

fn loading_many_jobs_reads_one_snapshot(backend: &BackendSite) {
    const MANY: usize = 12_000;
    let mut store = backend.connect();
    accept(&mut *store, add(MANY));
    let copy = Site::with_state(store.load().unwrap(), "copy");
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut store = backend.connect();
            for nth in 1..=150 {
                // From both ends.
                for job in [nth, MANY as u64 + 1 - nth] {
                    accept(&mut *store, Command::Cancel { job: JobId(job), stop: StopSignal::Terminate });
                }
                if nth % 10 == 0 {
                    // Ids are no longer consecutive, nor all of the same queue.
                    let middle = MANY as u64 / 2;
                    let placement = Placement::Before(JobId(middle - nth));
                    accept(&mut *store, Command::Move { jobs: vec![JobId(middle + nth)], placement });
                    accept(&mut *store, Command::Add { queue: "other".into(), jobs: vec![definition("elsewhere")] });
                    accept(&mut *store, add(1));
                }
            }
        });
        let mut over = false;
        while !over {
            over = writer.is_finished();
            let fresh = store.load().unwrap();
            let mut news = store.events_after(copy.read(setlist::model::SiteState::seq)).unwrap().unwrap();
            news.retain(|recorded| recorded.seq <= fresh.seq());
            copy.apply_records(&news);
            copy.read(|site_state| assert!(*site_state == fresh, "as of event {}", fresh.seq()));
        }
    });
}
