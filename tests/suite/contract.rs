//! What every store promises (DESIGN §5), checked for each backend by the same functions.

mod files;
mod formats;
mod gate;
mod keeping;
mod lines;
mod moves;
mod processes;
mod random;
mod reserve;
mod terms;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use setlist::model::{
    Arguments, Beside, Command, Definition, Event, Exit, Failure, FailureKind, JobId, Mode, Outcome, Phase, Plan,
    Program, QueueId, QueuePlan, Refusal, Report, RunId, Script, Settings, Setup, Site, Stop, Value, WorkerId,
};
use setlist::store::{Answer, Folder, Listener, Memory, Sqlite, Store};
use tempfile::TempDir;

use keeping::{old_jobs_are_given_up_unless_the_file_has_them, old_runs_are_given_up_but_the_latest};
use moves::{
    a_job_that_is_announced_becomes_the_entry, a_job_that_was_asked_for_starts_first, jobs_are_moved_by_hand,
    jobs_change_their_queue, jobs_start_in_queue_order, parallel_is_changed_by_hand_until_the_file_changes,
};
use reserve::{
    a_reserved_job_is_nobody_elses_and_begins_in_place_of_another,
    of_what_was_reserved_for_a_dead_worker_the_begun_is_interrupted, only_what_can_take_any_place_is_reserved,
    what_is_reserved_is_left_alone_until_it_is_released,
};
use terms::{
    a_failed_job_is_tried_again_at_its_time, a_job_does_not_start_before_its_time,
    a_job_that_asks_first_waits_for_the_answer, a_job_waits_for_those_that_it_needs,
    a_job_whose_need_fails_is_skipped_and_comes_back_when_it_succeeds, a_need_may_be_met_by_failure_or_by_any_end,
    a_queue_waits_for_jobs_of_another_and_falls_idle_when_they_will_not_come,
    an_interrupted_job_is_tried_again_if_it_says_so, higher_priority_goes_first_and_weight_takes_slots,
};

/// Every promise as a test of every backend. A new backend is one more line.
macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        contract!(@backend memory, Place::memory, $($promise),*);
        contract!(@backend sqlite, Place::sqlite, $($promise),*);
    };
    (@backend $backend:ident, $place:path, $($promise:ident),*) => {
        mod $backend {
            use super::Place;
            $(#[test]
            fn $promise() {
                super::$promise(&$place());
            })*
        }
    };
}

contract! {
    what_was_acknowledged_is_there_for_the_next_connection,
    a_success_is_not_run_again,
    no_job_is_claimed_twice,
    parallel_holds_over_all_workers,
    jobs_start_in_queue_order,
    a_job_that_was_asked_for_starts_first,
    higher_priority_goes_first_and_weight_takes_slots,
    a_job_waits_for_those_that_it_needs,
    a_job_whose_need_fails_is_skipped_and_comes_back_when_it_succeeds,
    a_need_may_be_met_by_failure_or_by_any_end,
    a_queue_waits_for_jobs_of_another_and_falls_idle_when_they_will_not_come,
    a_failed_job_is_tried_again_at_its_time,
    an_interrupted_job_is_tried_again_if_it_says_so,
    a_job_does_not_start_before_its_time,
    a_job_that_asks_first_waits_for_the_answer,
    jobs_are_moved_by_hand,
    jobs_change_their_queue,
    a_job_that_is_announced_becomes_the_entry,
    parallel_is_changed_by_hand_until_the_file_changes,
    a_refused_command_changes_nothing,
    a_batch_is_decided_in_order,
    every_run_is_kept,
    the_runs_of_a_dead_worker_are_interrupted,
    a_reserved_job_is_nobody_elses_and_begins_in_place_of_another,
    what_is_reserved_is_left_alone_until_it_is_released,
    only_what_can_take_any_place_is_reserved,
    of_what_was_reserved_for_a_dead_worker_the_begun_is_interrupted,
    a_removed_job_is_found_and_comes_back,
    old_runs_are_given_up_but_the_latest,
    old_jobs_are_given_up_unless_the_file_has_them,
    a_file_that_was_read_is_in_force,
    every_change_reaches_a_follower_once_and_in_order,
    a_follower_that_is_too_far_behind_loads_again,
    what_a_job_is_is_kept_word_for_word,
    many_jobs_are_loaded_as_one_moment_saw_them,
    a_change_rings,
    a_dropped_listener_is_silent,
}

/// Where a site is kept for one test.
pub(crate) struct Place {
    kept: Kept,
    folder: TempDir,
}

enum Kept {
    Memory(Memory),
    Sqlite,
}

impl Place {
    pub(crate) fn memory() -> Self {
        let folder = TempDir::new().unwrap();
        Self { kept: Kept::Memory(Memory::new(folder.path())), folder }
    }

    pub(crate) fn sqlite() -> Self {
        Self { kept: Kept::Sqlite, folder: TempDir::new().unwrap() }
    }

    fn folder(&self) -> Folder {
        Folder::new(self.folder.path().join(".setlist"))
    }

    /// One more connection to the site.
    fn connect(&self) -> Box<dyn Store> {
        match &self.kept {
            Kept::Memory(memory) => Box::new(memory.clone()),
            Kept::Sqlite => Box::new(Sqlite::open(&self.folder()).unwrap()),
        }
    }
}

fn queue() -> QueueId {
    QueueId::from("build")
}

/// A moment after the start of all tests.
fn at(millis: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(millis)
}

fn definition(title: &str) -> Arc<Definition> {
    Arc::new(Definition { title: title.to_owned(), ..Definition::new(Script::shell("true")) })
}

fn add(count: usize) -> Command {
    Command::Add { queue: queue(), jobs: (1..=count).map(|nth| definition(&format!("job {nth}"))).collect() }
}

fn settings(parallel: u32) -> Settings {
    Settings { parallel, ..Settings::default() }
}

/// A site whose file has one queue without jobs, which runs so many at once.
fn file(stamp: &str, parallel: u32, jobs: Vec<Arc<Definition>>) -> Command {
    let queues = vec![QueuePlan { id: queue(), settings: settings(parallel), jobs }];
    Command::Reconcile(Box::new(Plan { stamp: stamp.to_owned(), queues }))
}

fn process() -> Command {
    Command::Process { queue: queue() }
}

fn claim(worker: WorkerId) -> Command {
    Command::Claim { worker, queues: None }
}

fn report(job: JobId, run: RunId, outcome: Outcome) -> Command {
    let report = Report { outcome, exit: Some(Exit::Code(0)), value: Some("fine".into()) };
    Command::Report { job, run, report, on_failure: None }
}

fn failed() -> Outcome {
    Outcome::Failed(Failure { kind: FailureKind::Exit, message: "exit code 3".to_owned() })
}

/// Executes one command that must be accepted.
fn done(store: &mut dyn Store, command: Command) -> Vec<Event> {
    answer(store, command).unwrap()
}

fn answer(store: &mut dyn Store, command: Command) -> Answer {
    store.execute(&[command], at(0)).unwrap().remove(0)
}

fn join(store: &mut dyn Store) -> WorkerId {
    match &done(store, Command::Join { host: "here".to_owned(), pid: 7, queues: None })[..] {
        [Event::WorkerJoined { worker }] => worker.id,
        events => panic!("{events:?}"),
    }
}

/// Which run a claim has started, if it has.
fn started(answer: &Answer) -> Option<(JobId, RunId)> {
    match answer.as_deref() {
        Ok([Event::Started { job, run }]) => Some((*job, run.id)),
        _ => None,
    }
}

fn claimed(store: &mut dyn Store, worker: WorkerId) -> Option<(JobId, RunId)> {
    started(&answer(store, claim(worker)))
}

/// Runs everything that the site gives to a worker of its own; says what it ran.
fn work(store: &mut dyn Store) -> Vec<JobId> {
    let worker = join(store);
    let mut ran = Vec::new();
    let mut next = claimed(store, worker);
    while let Some((job, run)) = next {
        ran.push(job);
        let answers = store.execute(&[report(job, run, Outcome::Succeeded), claim(worker)], at(1)).unwrap();
        assert!(answers[0].is_ok(), "{answers:?}");
        next = started(&answers[1]);
    }
    ran
}

fn what_was_acknowledged_is_there_for_the_next_connection(place: &Place) {
    let mut store = place.connect();
    done(&mut *store, add(3));
    done(&mut *store, process());
    let worker = join(&mut *store);
    let (first, run) = claimed(&mut *store, worker).unwrap();
    done(&mut *store, report(first, run, Outcome::Succeeded));
    let (second, run) = claimed(&mut *store, worker).unwrap();
    done(&mut *store, report(second, run, failed()));
    claimed(&mut *store, worker).unwrap();
    let before = store.load().unwrap();
    drop(store);

    let after = place.connect().load().unwrap();
    assert_eq!(after, before);
    let succeeded = after.job(first).unwrap();
    assert_eq!(succeeded.value, Some("fine".into()));
    assert_eq!(succeeded.executed, Some(at(0)));
    assert_eq!(after.job(second).unwrap().outcome(), Some(&failed()));
    assert_eq!(after.queue(&queue()).unwrap().running.len(), 1);
    assert_eq!(after.queue(&queue()).unwrap().mode, Mode::Processing);
}

fn a_success_is_not_run_again(place: &Place) {
    let mut store = place.connect();
    done(&mut *store, add(5));
    done(&mut *store, process());
    let ran = work(&mut *store);
    assert_eq!(ran.len(), 5);
    assert_eq!(work(&mut *place.connect()), []);
    let refused = answer(&mut *store, process());
    assert!(refused.is_err(), "nothing is pending: {refused:?}");
    done(&mut *store, add(1));
    done(&mut *store, process());
    assert_eq!(work(&mut *place.connect()), [JobId(6)], "only the new one");
    done(&mut *store, Command::Run { job: JobId(2) });
    assert_eq!(work(&mut *place.connect()), [JobId(2)], "unless asked");
}

fn no_job_is_claimed_twice(place: &Place) {
    const JOBS: usize = 300;
    let mut store = place.connect();
    done(&mut *store, file("1", 1_000, Vec::new()));
    done(&mut *store, add(JOBS));
    done(&mut *store, process());
    let ran: Vec<JobId> = thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| work(&mut *place.connect()))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(ran.len(), JOBS);
    assert_eq!(ran.iter().collect::<BTreeSet<_>>().len(), JOBS);
    let ledger = store.load().unwrap();
    assert_eq!(ledger.queue(&queue()).unwrap().finished.len(), JOBS);
    assert!(ledger.jobs().all(|job| job.attempts == 1));
}

fn parallel_holds_over_all_workers(place: &Place) {
    let mut store = place.connect();
    done(&mut *store, file("1", 3, Vec::new()));
    done(&mut *store, add(60));
    done(&mut *store, process());
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let ran = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                let mut store = place.connect();
                let (_listener, rings) = bell(&*store);
                let worker = join(&mut *store);
                while ran.load(Ordering::SeqCst) < 60 {
                    let Some((job, run)) = claimed(&mut *store, worker) else {
                        rings.recv_timeout(SOON).unwrap();
                        continue;
                    };
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    ran.fetch_add(1, Ordering::SeqCst);
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    done(&mut *store, report(job, run, Outcome::Succeeded));
                }
            });
        }
    });
    assert!(most.into_inner() <= 3);
    // Nobody reports: the limit alone says how many start.
    done(&mut *store, add(5));
    done(&mut *store, process());
    let worker = join(&mut *store);
    let starts = (0..5).filter(|_| claimed(&mut *store, worker).is_some()).count();
    assert_eq!(starts, 3);
}

fn a_refused_command_changes_nothing(place: &Place) {
    let mut store = place.connect();
    done(&mut *store, add(2));
    done(&mut *store, process());
    let worker = join(&mut *store);
    let (running, run) = claimed(&mut *store, worker).unwrap();
    let before = store.load().unwrap();
    let nobody = WorkerId(99);
    let refused = [
        Command::Process { queue: queue() },
        Command::Process { queue: "none".into() },
        Command::Pause { queue: "none".into() },
        Command::Run { job: running },
        Command::Run { job: JobId(99) },
        Command::Reset { job: running },
        Command::Cancel { job: JobId(99), stop: Stop::Kill },
        Command::Remove { jobs: vec![JobId(2), running] },
        Command::Clear { queue: queue(), phase: Phase::Finished },
        Command::Clear { queue: queue(), phase: Phase::Running },
        Command::Restore { jobs: vec![JobId(2)] },
        Command::Claim { worker, queues: None },
        Command::Start { worker, job: running },
        report(running, RunId(run.0 + 1), Outcome::Succeeded),
        report(JobId(2), run, Outcome::Succeeded),
        Command::Bury { worker: nobody, begun: Vec::new() },
        Command::Leave { worker, queues: None },
    ];
    let answers = store.execute(&refused, at(9)).unwrap();
    for (command, answer) in refused.iter().zip(&answers) {
        let refusal = answer.as_ref().expect_err(&format!("{command:?}"));
        assert!(!refusal.to_string().is_empty());
    }
    assert_eq!(store.load().unwrap(), before);
    assert_eq!(place.connect().load().unwrap(), before);
    assert_eq!(store.events_after(before.seq()).unwrap(), Some(Vec::new()));
}

fn a_batch_is_decided_in_order(place: &Place) {
    let mut store = place.connect();
    let worker = join(&mut *store);
    let batch = [process(), add(1), process(), claim(worker), claim(worker), Command::Pause { queue: queue() }];
    let answers = store.execute(&batch, at(5)).unwrap();
    let accepted: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(accepted, [false, true, true, true, false, true]);
    assert_eq!(answers[0], Err(Refusal::NoQueue("build".to_owned())));
    let told: Vec<Event> = answers.into_iter().flatten().flatten().collect();
    let recorded = store.events_after(1).unwrap().unwrap();
    assert_eq!(recorded.iter().map(|recorded| recorded.seq).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert!(recorded.iter().all(|recorded| recorded.at == at(5)));
    assert_eq!(recorded.into_iter().map(|recorded| recorded.event).collect::<Vec<_>>(), told);
}

fn every_run_is_kept(place: &Place) {
    let mut store = place.connect();
    done(&mut *store, add(1));
    let worker = join(&mut *store);
    let job = JobId(1);
    let outcomes = [failed(), Outcome::Cancelled, Outcome::Succeeded];
    for outcome in &outcomes {
        done(&mut *store, Command::Run { job });
        let (_, run) = claimed(&mut *store, worker).unwrap();
        let mut ended = report(job, run, outcome.clone());
        if let (Command::Report { report, .. }, Outcome::Cancelled) = (&mut ended, outcome) {
            report.exit = Some(Exit::Signal(15));
        }
        done(&mut *store, ended);
    }
    done(&mut *store, Command::Run { job });
    claimed(&mut *store, worker).unwrap();

    let runs = place.connect().runs(job).unwrap();
    assert_eq!(runs.iter().map(|run| run.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(runs.iter().all(|run| run.worker == worker));
    let ends: Vec<_> = runs.iter().filter_map(|run| run.ending.clone()).collect();
    assert_eq!(ends.iter().map(|ending| ending.outcome.clone()).collect::<Vec<_>>(), outcomes);
    assert_eq!(ends[1].exit, Some(Exit::Signal(15)));
    assert_eq!(store.job(job).unwrap().unwrap().last_run.as_deref(), runs.last());
    assert_eq!(store.runs(JobId(2)).unwrap(), []);
}

fn the_runs_of_a_dead_worker_are_interrupted(place: &Place) {
    let mut store = place.connect();
    done(&mut *store, file("1", 5, Vec::new()));
    done(&mut *store, add(4));
    done(&mut *store, process());
    let (dead, alive) = (join(&mut *store), join(&mut *store));
    let (first, run) = claimed(&mut *store, dead).unwrap();
    let (second, _) = claimed(&mut *store, dead).unwrap();
    let (third, _) = claimed(&mut *store, alive).unwrap();
    done(&mut *place.connect(), Command::Bury { worker: dead, begun: Vec::new() });

    let ledger = store.load().unwrap();
    for job in [first, second] {
        assert_eq!(ledger.job(job).unwrap().outcome(), Some(&Outcome::Interrupted));
    }
    assert_eq!(ledger.job(third).unwrap().phase(), Phase::Running);
    assert_eq!(ledger.workers().map(|worker| worker.id).collect::<Vec<_>>(), [alive]);
    let late = answer(&mut *store, report(first, run, Outcome::Succeeded));
    assert_eq!(late, Err(Refusal::StaleRun { job: first, run }), "its report comes too late");
}

fn a_removed_job_is_found_and_comes_back(place: &Place) {
    let mut store = place.connect();
    done(&mut *store, add(3));
    done(&mut *store, process());
    let worker = join(&mut *store);
    let (job, run) = claimed(&mut *store, worker).unwrap();
    done(&mut *store, report(job, run, failed()));
    let before = store.load().unwrap();
    done(&mut *store, Command::Remove { jobs: vec![job] });
    assert!(store.load().unwrap().job(job).is_none());
    assert_eq!(store.job(job).unwrap().as_ref(), before.job(job), "its record is kept");
    assert_eq!(store.runs(job).unwrap().len(), 1);
    done(&mut *store, add(1));
    done(&mut *store, Command::Restore { jobs: vec![job] });
    let after = store.load().unwrap();
    assert_eq!(after.job(job), before.job(job));
    assert_eq!(after.counters().job, 4, "no number is used twice");
}

fn a_file_that_was_read_is_in_force(place: &Place) {
    let mut store = place.connect();
    done(&mut *store, file("one", 2, Vec::new()));
    let again = done(&mut *place.connect(), file("one", 9, Vec::new()));
    assert_eq!(again, [], "the same stamp changes nothing");
    done(&mut *store, file("two", 4, Vec::new()));
    let ledger = place.connect().load().unwrap();
    assert_eq!(ledger.stamp(), Some("two"));
    assert_eq!(ledger.queue(&queue()).unwrap().settings.parallel, 4);
}

/// Rings of a listener as something to wait for.
fn bell(store: &dyn Store) -> (Listener, Receiver<()>) {
    let (send, rings) = channel();
    let ring = Arc::new(move || {
        // Nobody waits any more when the test is over.
        let _ = send.send(());
    });
    (store.listen(ring).unwrap(), rings)
}

const SOON: Duration = Duration::from_secs(60);

fn every_change_reaches_a_follower_once_and_in_order(place: &Place) {
    const EACH: usize = 40;
    let mut follower = place.connect();
    let (_listener, rings) = bell(&*follower);
    let copy = Site::holding(follower.load().unwrap(), "copy");
    let mut order = Vec::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut store = place.connect();
                for _ in 0..EACH {
                    done(&mut *store, add(2));
                }
            });
        }
        while copy.read(|ledger| ledger.jobs().count()) < 4 * EACH * 2 {
            rings.recv_timeout(SOON).unwrap();
            let news = follower.events_after(copy.read(setlist::model::Ledger::seq)).unwrap().unwrap();
            order.extend(news.iter().map(|recorded| recorded.seq));
            copy.follow(&news);
        }
    });
    assert!(order.iter().copied().eq(1..=order.len() as u64));
    let mut fresh = place.connect();
    copy.read(|ledger| assert_eq!(*ledger, fresh.load().unwrap()));
}

fn a_follower_that_is_too_far_behind_loads_again(place: &Place) {
    let mut store = place.connect();
    done(&mut *store, add(1));
    let stale = store.load().unwrap();
    done(&mut *store, add(25_000));
    let last = store.load().unwrap().seq();
    assert_eq!(last, 25_002);
    assert_eq!(store.events_after(stale.seq()).unwrap(), None);
    assert_eq!(store.events_after(last + 1).unwrap(), None, "it follows another site");
    for _ in 0..3 {
        done(&mut *store, add(900));
    }
    let known = store.events_after(last).unwrap().unwrap();
    assert!(known.iter().map(|recorded| recorded.seq).eq(last + 1..=last + 2_700));
    let far = store.events_after(last + 2_700 - 10_000).unwrap().unwrap();
    assert_eq!(far.len(), 10_000, "so many are always known");
}

fn what_a_job_is_is_kept_word_for_word(place: &Place) {
    let plain = Definition::new(Script::command(["echo", "two words", ""]));
    let zsh = Program::Run { text: "echo $1".to_owned(), shell: ["zsh".to_owned()].into() };
    let env = [("A".to_owned(), None), ("B".to_owned(), Some("b".to_owned()))].into();
    let full =
        Script::new(zsh).with(Setup { env, cwd: Some("sub".into()), ok_codes: [0, 3].into(), ..Setup::default() });
    let kwargs = [("z", 1.into()), ("a", Value::Null)].map(|(name, value)| (name.to_owned(), value));
    let arguments = Arc::new(Arguments { args: vec!["x".into()], kwargs: kwargs.into_iter().collect() });
    let tags = vec!["slow".to_owned()];
    let titled = Definition { title: "It's \"5\"".to_owned(), arguments, tags, ..Definition::new(full) };
    let quiet =
        Script::command(["cat"]).with(Setup { stdin: Some(String::new()), grace: Duration::ZERO, ..Setup::default() });
    let forms = [plain, titled, Definition::new(quiet), Definition::new(Script::shell(""))];
    let named = |(nth, form): (i64, Definition)| {
        Arc::new(Definition { name: Some(format!("job-{nth}").into()), digest: Some(-nth), ..form })
    };
    let jobs: Vec<_> = (0..).zip(forms).map(named).collect();
    let mut store = place.connect();
    let check = |store: &mut dyn Store, jobs: &[Arc<Definition>]| {
        let ledger = store.load().unwrap();
        for (nth, definition) in (1..).zip(jobs) {
            assert_eq!(ledger.job(JobId(nth)).unwrap().definition, *definition);
            assert_eq!(store.job(JobId(nth)).unwrap().unwrap().definition, *definition);
        }
    };
    done(&mut *store, file("one", 1, jobs.clone()));
    check(&mut *place.connect(), &jobs);
    // Each takes the form of the next.
    let forms = jobs.iter().cycle().skip(1).take(jobs.len()).map(|job| (**job).clone());
    let turned: Vec<_> = (0..).zip(forms).map(named).collect();
    done(&mut *store, file("two", 1, turned.clone()));
    check(&mut *place.connect(), &turned);
}

fn many_jobs_are_loaded_as_one_moment_saw_them(place: &Place) {
    const MANY: usize = 12_000;
    let mut store = place.connect();
    done(&mut *store, add(MANY));
    let copy = Site::holding(store.load().unwrap(), "copy");
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut store = place.connect();
            for nth in 1..=150 {
                // From both ends.
                for job in [nth, MANY as u64 + 1 - nth] {
                    done(&mut *store, Command::Cancel { job: JobId(job), stop: Stop::Terminate });
                }
                if nth % 10 == 0 {
                    // Numbers that follow one another are no longer neighbours, nor always of one queue.
                    let middle = MANY as u64 / 2;
                    let beside = Beside::Before(JobId(middle - nth));
                    done(&mut *store, Command::Move { jobs: vec![JobId(middle + nth)], beside });
                    done(&mut *store, Command::Add { queue: "other".into(), jobs: vec![definition("elsewhere")] });
                    done(&mut *store, add(1));
                }
            }
        });
        loop {
            let over = writer.is_finished();
            let fresh = store.load().unwrap();
            let mut news = store.events_after(copy.read(setlist::model::Ledger::seq)).unwrap().unwrap();
            news.retain(|recorded| recorded.seq <= fresh.seq());
            copy.follow(&news);
            copy.read(|ledger| assert!(*ledger == fresh, "as of event {}", fresh.seq()));
            if over {
                break;
            }
        }
    });
}

fn a_change_rings(place: &Place) {
    let mut store = place.connect();
    let (_listener, rings) = bell(&*place.connect());
    done(&mut *store, add(1));
    rings.recv_timeout(SOON).expect("a change right after listening rings");
    while rings.try_recv().is_ok() {}
    done(&mut *place.connect(), add(1));
    rings.recv_timeout(SOON).expect("so does the next one, by another connection");
}

fn a_dropped_listener_is_silent(place: &Place) {
    let mut store = place.connect();
    let follower = place.connect();
    let (dropped, silent) = bell(&*follower);
    let (_listener, rings) = bell(&*follower);
    drop(dropped);
    // What was under way when it was dropped may still ring; then its callback is gone, and nobody can.
    let end = std::iter::repeat_with(|| silent.recv_timeout(SOON)).find_map(Result::err);
    assert_eq!(end, Some(RecvTimeoutError::Disconnected));
    done(&mut *store, add(1));
    rings.recv_timeout(SOON).unwrap();
}
