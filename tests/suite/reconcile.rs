//! Reconciliation: the effects of saving `jobs.yaml` on a site, also while jobs run.

use std::sync::Arc;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use setlist::model::{
    Call, Definition, DesiredQueue, DesiredState, Event, ExecOptions, Failure, Hook, Job, JobId, JobState, Outcome,
    Phase, Program, QueueId, QueueMode, QueueSettings, Readiness, RetryPolicy, RunId, RunReport, Script, SiteState,
    StateReader, WaitConditions, WorkerId, WorkerOptions,
};
use setlist::{Command, Site};

use crate::rng::cases;

/// A site with one worker and a virtual clock.
struct Fixture {
    site: Site,
    now: DateTime<Utc>,
    saves: u32,
}

impl Fixture {
    fn new() -> Self {
        let mut fixture = Self { site: Site::new(), now: DateTime::UNIX_EPOCH, saves: 0 };
        fixture.submit(&Command::Join {
            host: "here".to_owned(),
            pid: 1,
            queues: None,
            options: WorkerOptions::default(),
        });
        fixture
    }

    /// A fixture with a file that has these jobs in the queue `build`.
    fn with(jobs: &[&str]) -> Self {
        let mut fixture = Self::new();
        fixture.save(jobs);
        fixture
    }

    fn submit(&mut self, command: &Command) -> Vec<Event> {
        self.now += TimeDelta::seconds(1);
        self.site.submit(command, self.now).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"))
    }

    /// Saves a file with these jobs in the queue `build`, and reconciles the site with it.
    fn save(&mut self, jobs: &[&str]) -> Vec<Event> {
        self.saves += 1;
        let version = format!("save {}", self.saves);
        self.reconcile(&version, &[("build", jobs)])
    }

    /// Reconciles the site with this version of the file.
    fn reconcile(&mut self, version: &str, queues: &[(&str, &[&str])]) -> Vec<Event> {
        self.submit(&Command::Reconcile(Box::new(desired(version, queues))))
    }

    fn id(&self, name: &str) -> JobId {
        self.job(name).id
    }

    fn job(&self, name: &str) -> Job {
        self.site.read(|site| site.job_named(&"build".into(), name).cloned()).unwrap_or_else(|| panic!("no job {name}"))
    }

    fn has_job(&self, name: &str) -> bool {
        self.site.read(|site| site.job_named(&"build".into(), name).is_some())
    }

    fn mode(&self) -> QueueMode {
        self.site.get_queue("build").read(|queue, _| queue.mode)
    }

    fn pending(&self) -> Vec<String> {
        names(&self.site.get_queue("build").pending())
    }

    fn finished(&self) -> Vec<String> {
        names(&self.site.get_queue("build").finished())
    }

    fn start(&mut self, name: &str) -> RunId {
        let command = Command::Start { worker: WorkerId(1), job: self.id(name) };
        self.submit(&command);
        self.job(name).current_run().expect("it runs")
    }

    fn report(&mut self, name: &str, result: Result<(), &str>) {
        let job = self.job(name);
        let result = result.map(|()| None).map_err(Failure::error);
        let report = RunReport::from(result);
        self.submit(&Command::EndRun {
            job: job.id,
            run: job.current_run().expect("it runs"),
            report,
            on_failure: None,
        });
    }

    fn succeed(&mut self, name: &str) {
        self.start(name);
        self.report(name, Ok(()));
    }
}

/// Parses `name`, or `name: script` to change the script.
fn definition(job: &str) -> Arc<Definition> {
    let (name, script) = job.split_once(": ").unwrap_or((job, "true"));
    let mut definition = Definition::new(Script::shell(script));
    definition.name = Some(name.into());
    definition.digest = Some(script.bytes().fold(7, |digest, byte| digest * 31 + i64::from(byte)));
    Arc::new(definition)
}

fn desired(version: &str, queues: &[(&str, &[&str])]) -> DesiredState {
    let queue = |(order, (id, jobs)): (u32, &(&str, &[&str]))| DesiredQueue {
        id: QueueId::from(*id),
        settings: QueueSettings { is_in_file: true, order, ..QueueSettings::default() },
        jobs: jobs.iter().map(|job| definition(job)).collect(),
    };
    let queues = (0..).zip(queues).map(queue).collect();
    DesiredState { version: version.to_owned(), queues, ..DesiredState::default() }
}

fn names(jobs: &[Job]) -> Vec<String> {
    jobs.iter().map(|job| job.name().map_or_else(|| job.id.to_string(), str::to_owned)).collect()
}

fn count_moves(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Moved { .. })).count()
}

#[test]
fn a_new_entry_becomes_a_pending_job_in_file_order() {
    let mut fixture = Fixture::with(&["a", "c"]);
    assert_eq!(fixture.pending(), ["a", "c"]);
    assert_eq!(fixture.mode(), QueueMode::Idle, "reconciliation starts nothing");
    let events = fixture.save(&["first", "a", "b", "c", "last"]);
    assert_eq!(fixture.pending(), ["first", "a", "b", "c", "last"]);
    assert_eq!(count_moves(&events), 0, "it fits between the others");
    assert_eq!(fixture.job("b").enqueued, fixture.now);
}

#[test]
fn a_changed_entry_updates_its_pending_job_in_place() {
    let mut fixture = Fixture::with(&["a", "b", "c"]);
    let before = fixture.job("b");
    fixture.save(&["a", "b: false", "c"]);
    let after = fixture.job("b");
    assert_eq!(after, Job { definition: definition("b: false"), ..before });
    assert_eq!(fixture.pending(), ["a", "b", "c"]);
}

#[test]
fn a_changed_entry_makes_its_finished_job_pending_and_keeps_the_history() {
    let mut fixture = Fixture::with(&["a", "b"]);
    fixture.succeed("a");
    let before = fixture.job("a");
    fixture.save(&["a: false", "b"]);
    let after = fixture.job("a");
    assert_eq!(fixture.pending(), ["a", "b"]);
    assert_eq!(fixture.finished(), [""; 0]);
    assert_eq!((after.id, after.attempts, after.executed), (before.id, 1, before.executed));
    assert_eq!(after.last_run, before.last_run);
    assert_eq!(after.enqueued, fixture.now);
    fixture.succeed("a");
    assert_eq!(fixture.job("a").attempts, 2);
}

#[test]
fn an_unchanged_entry_changes_nothing() {
    let mut fixture = Fixture::with(&["a", "b"]);
    fixture.succeed("a");
    let before = fixture.site.read(SiteState::clone);
    let events = fixture.save(&["a", "b"]);
    assert!(matches!(&events[..], [Event::FileApplied { .. }]), "{events:?}");
    let again = fixture.reconcile("save 2", &[("build", &["something", "else"])]);
    assert_eq!(again, [], "an applied version is not reconciled again");
    for job in before.jobs() {
        assert_eq!(fixture.site.read(|site| site.job(job.id).cloned()).as_ref(), Some(job));
    }
}

#[test]
fn changed_inherited_fields_do_not_rerun_a_job() {
    let mut fixture = Fixture::with(&["a", "b"]);
    fixture.succeed("a");
    let mut desired = desired("with an environment", &[("build", &["a", "b"])]);
    for job in &mut desired.queues[0].jobs {
        Arc::make_mut(job).tags = ["nightly".to_owned()].into();
    }
    fixture.submit(&Command::Reconcile(Box::new(desired)));
    assert_eq!(fixture.finished(), ["a"]);
    assert_eq!(*fixture.job("a").definition.tags, ["nightly"]);
    assert_eq!(*fixture.job("b").definition.tags, ["nightly"]);
}

#[test]
fn a_removed_entry_removes_the_pending_job_and_keeps_the_history() {
    let mut fixture = Fixture::with(&["a", "b", "c"]);
    fixture.succeed("a");
    fixture.save(&["c"]);
    assert_eq!(fixture.pending(), ["c"]);
    assert_eq!(fixture.finished(), ["a"]);
}

#[test]
fn an_entry_that_returns_restores_the_same_job() {
    let mut fixture = Fixture::with(&["a", "b", "c"]);
    fixture.start("b");
    fixture.site.submit(&Command::Pause { queue: "build".into() }, fixture.now).unwrap();
    let report = RunReport::new(Outcome::Interrupted);
    let job = fixture.job("b");
    fixture.submit(&Command::EndRun { job: job.id, run: job.current_run().unwrap(), report, on_failure: None });
    fixture.submit(&Command::Run { job: job.id, force: false });
    fixture.save(&["a", "c"]);
    assert!(!fixture.has_job("b"));

    fixture.save(&["a", "b", "c"]);
    assert_eq!(fixture.pending(), ["a", "b", "c"]);
    let back = fixture.job("b");
    assert_eq!((back.id, back.attempts), (job.id, 1));
    assert_eq!(
        back.state,
        JobState::Pending { requested: false, wait: WaitConditions::default() },
        "reconciliation starts nothing"
    );
}

#[test]
fn a_job_removed_by_a_user_stays_removed_until_its_entry_changes() {
    let mut fixture = Fixture::with(&["a", "b", "c"]);
    fixture.succeed("c");
    let (b, c) = (fixture.id("b"), fixture.id("c"));
    fixture.submit(&Command::Remove { jobs: vec![b, c] });
    for _ in 0..2 {
        fixture.save(&["new", "a", "b", "c"]);
        assert_eq!((fixture.pending(), fixture.finished()), (vec!["new".to_owned(), "a".to_owned()], vec![]));
    }
    fixture.save(&["new", "a", "b: false", "c: false"]);
    assert_eq!(fixture.pending(), ["new", "a", "b", "c"]);
    assert_eq!((fixture.id("b"), fixture.id("c")), (b, c), "the jobs are the same");
    assert_eq!(fixture.job("c").attempts, 1);
}

#[test]
fn a_change_to_a_running_job_applies_when_its_run_ends() {
    let mut fixture = Fixture::with(&["a", "b"]);
    fixture.start("a");
    let running = fixture.job("a");
    fixture.save(&["c", "a: false", "b: false"]);
    let changed = fixture.job("a");
    let replacement = Some(definition("a: false"));
    let definition_while_running = Arc::new(Definition { replacement, ..(*running.definition).clone() });
    assert_eq!(changed, Job { definition: definition_while_running, ..running }, "it runs as it started");
    assert_eq!(fixture.pending(), ["c", "b"], "all other changes are applied at once");
    assert_eq!(fixture.site.read(|site| site.file_version().map(str::to_owned)).as_deref(), Some("save 2"));

    fixture.report("a", Ok(()));
    assert_eq!(fixture.pending(), ["c", "a", "b"]);
    assert_eq!(fixture.job("a").definition, definition("a: false"));
}

#[test]
fn a_processing_queue_includes_the_change_of_its_last_running_job() {
    let mut fixture = Fixture::with(&["a"]);
    fixture.submit(&Command::Process { queue: "build".into() });
    fixture.start("a");
    fixture.save(&["a: false"]);
    fixture.report("a", Ok(()));
    assert_eq!((fixture.mode(), fixture.pending()), (QueueMode::Processing, vec!["a".to_owned()]));
    fixture.succeed("a");
    assert_eq!((fixture.mode(), fixture.finished()), (QueueMode::Idle, vec!["a".to_owned()]));
}

#[test]
fn a_requested_job_that_changes_during_its_run_is_still_requested() {
    let mut fixture = Fixture::with(&["a"]);
    fixture.submit(&Command::Run { job: fixture.id("a"), force: false });
    fixture.start("a");
    fixture.save(&["a: false"]);
    fixture.report("a", Ok(()));
    assert_eq!(fixture.job("a").readiness(), Some(Readiness::Requested));
}

#[test]
fn a_job_that_runs_the_same_stays_finished() {
    type Change = fn(&mut Definition);
    fn exec(job: &mut Definition) -> &mut ExecOptions {
        let Call::Script(script) = &mut job.call else { panic!("it is a script") };
        script.exec_mut()
    }
    let same: [(&str, Change); 11] = [
        ("limits", |job| exec(job).limits.memory = Some(1 << 30)),
        ("title", |job| job.title = "New title".into()),
        ("tags", |job| job.tags = ["nightly".to_owned()].into()),
        ("priority", |job| Arc::make_mut(&mut job.scheduling).priority = 5),
        ("weight", |job| Arc::make_mut(&mut job.scheduling).weight = 2),
        ("retry", |job| Arc::make_mut(&mut job.scheduling).retry = RetryPolicy::times(3)),
        ("confirm", |job| Arc::make_mut(&mut job.scheduling).confirm = Some("Really?".to_owned())),
        ("timeout", |job| exec(job).timeout = Some(Duration::from_secs(5))),
        ("ok_codes", |job| exec(job).ok_codes = [0, 3].into()),
        ("log_limit", |job| exec(job).log_limit = 1000),
        ("on_finish", |job| exec(job).on_finish = Some(Arc::new(Hook::new(Program::Command(vec!["true".to_owned()]))))),
    ];
    let different: [(&str, Change); 6] = [
        ("env", |job| _ = exec(job).env.insert("A".to_owned(), Some("1".to_owned()))),
        ("env_file", |job| exec(job).env_files.push("a.env".into())),
        ("cwd", |job| exec(job).cwd = Some("sub".into())),
        ("stdin", |job| exec(job).stdin = Some("input".to_owned())),
        ("pty", |job| exec(job).pty = true),
        ("args", |job| Arc::make_mut(&mut job.arguments).args.push(1.into())),
    ];
    let reruns = |change: Change, digest: i64, is_running: bool| {
        let mut fixture = Fixture::with(&["a"]);
        fixture.start("a");
        if !is_running {
            fixture.report("a", Ok(()));
        }
        let mut desired = desired("changed", &[("build", &["a"])]);
        let job = Arc::make_mut(&mut desired.queues[0].jobs[0]);
        job.digest = Some(job.digest.unwrap() + digest);
        change(job);
        let expected = job.clone();
        fixture.submit(&Command::Reconcile(Box::new(desired)));
        if is_running {
            fixture.report("a", Ok(()));
        }
        assert_eq!(*fixture.job("a").definition, expected, "the change is applied");
        fixture.job("a").phase() == Phase::Pending
    };
    for is_running in [false, true] {
        for (field, change) in same {
            assert!(!reruns(change, 1, is_running), "{field} doesn't change what runs");
        }
        for (field, change) in different {
            assert!(reruns(change, 0, is_running), "{field} changes what runs, also if it is inherited");
        }
    }
}

#[test]
fn reverting_the_file_while_a_job_runs_reverts_all_changes() {
    let mut fixture = Fixture::with(&["a", "b"]);
    fixture.start("a");
    fixture.save(&["a: false", "b: false", "c"]);
    assert_eq!(fixture.pending(), ["b", "c"]);
    fixture.reconcile("save 1", &[("build", &["a", "b"])]);
    assert_eq!(fixture.pending(), ["b"]);
    assert_eq!(fixture.job("b").definition, definition("b"));
    assert_eq!(fixture.site.read(|site| site.file_version().map(str::to_owned)).as_deref(), Some("save 1"));
}

#[test]
fn a_running_job_without_entry_is_removed_once_it_is_pending_again() {
    for (file, outcome) in [("its jobs", "left"), ("its queue", "left"), ("its queue", "done")] {
        let mut fixture = Fixture::with(&["a", "b"]);
        fixture.start("a");
        let without: &[(&str, &[&str])] = if file == "its jobs" { &[("build", &["b"])] } else { &[("other", &[])] };
        fixture.reconcile("without", without);
        assert!(fixture.job("a").current_run().is_some());
        if outcome == "done" {
            fixture.report("a", Ok(()));
        } else {
            let job = fixture.job("a");
            let report = RunReport::from(Err(Failure::error("broken")));
            let on_failure = Some(setlist::model::OnFailure::Stop);
            fixture.submit(&Command::EndRun { job: job.id, run: job.current_run().unwrap(), report, on_failure });
            assert!(fixture.pending().contains(&"a".to_owned()), "it stays pending");
        }
        fixture.reconcile("without", without);
        assert!(!fixture.pending().contains(&"a".to_owned()), "{file}");
        assert_eq!(fixture.finished().contains(&"a".to_owned()), outcome == "done", "its history is kept");
        assert_eq!(fixture.reconcile("without", without), []);
    }
}

#[test]
fn jobs_follow_the_file_order_with_as_few_moves_as_possible() {
    let mut fixture = Fixture::with(&["a", "b", "c", "d", "e"]);
    let events = fixture.save(&["e", "a", "b", "c", "d"]);
    assert_eq!(fixture.pending(), ["e", "a", "b", "c", "d"]);
    assert_eq!(count_moves(&events), 1);
    let events = fixture.save(&["a", "b", "c", "d", "e"]);
    assert_eq!(fixture.pending(), ["a", "b", "c", "d", "e"]);
    assert_eq!(count_moves(&events), 1);
    let events = fixture.save(&["e", "d", "c", "b", "a"]);
    assert_eq!(fixture.pending(), ["e", "d", "c", "b", "a"]);
    assert_eq!(count_moves(&events), 4);
}

#[test]
fn positions_are_reassigned_when_a_gap_is_used_up() {
    let mut fixture = Fixture::with(&["first", "last"]);
    let mut jobs = vec!["first".to_owned(), "last".to_owned()];
    let mut reassigned = 0;
    for nth in 0..60 {
        jobs.insert(1, format!("job {nth}"));
        let file: Vec<_> = jobs.iter().map(String::as_str).collect();
        let events = fixture.save(&file);
        assert_eq!(fixture.pending(), jobs);
        reassigned += usize::from(count_moves(&events) > 0);
    }
    assert!((1..=4).contains(&reassigned), "reassigned {reassigned} times");
}

#[test]
fn jobs_added_by_a_command_are_independent_of_the_file() {
    let mut fixture = Fixture::with(&["a", "b"]);
    let mut added = Definition::new(Script::shell("true"));
    added.name = Some("a".into());
    added.digest = Some(1);
    fixture.submit(&Command::Add { queue: "build".into(), jobs: vec![Arc::new(added)] });
    assert_eq!(fixture.pending(), ["a", "b", "#3"], "only jobs of the file have a name");
    fixture.save(&["b", "c"]);
    assert_eq!(fixture.pending(), ["b", "#3", "c"]);
    fixture.save(&[]);
    assert_eq!(fixture.pending(), ["#3"]);
}

#[test]
fn a_queue_removed_from_the_file_keeps_its_other_jobs() {
    let mut fixture = Fixture::with(&["a", "b"]);
    fixture.succeed("a");
    fixture
        .submit(&Command::Add { queue: "build".into(), jobs: vec![Arc::new(Definition::new(Script::shell("true")))] });
    fixture.reconcile("other", &[("other", &["x"])]);
    assert_eq!((fixture.pending(), fixture.finished()), (vec!["#3".to_owned()], vec!["a".to_owned()]));
    let declared = |fixture: &Fixture| fixture.site.get_queue("build").read(|queue, _| queue.settings.is_in_file);
    assert!(!declared(&fixture));
    let order = fixture.site.read(|site| site.queues().into_iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>());
    assert_eq!(order, ["other", "build"], "it comes after the queues of the file");

    fixture.reconcile("back", &[("build", &["a", "b"]), ("other", &["x"])]);
    assert!(declared(&fixture));
    assert_eq!(fixture.pending(), ["b", "#3"]);
}

#[test]
fn settings_follow_the_file() {
    let mut fixture = Fixture::with(&["a"]);
    let mut desired = desired("wider", &[("build", &["a"])]);
    desired.queues[0].settings.parallel = 4;
    desired.queues[0].settings.title = "Build".to_owned();
    let expected = desired.queues[0].settings.clone();
    fixture.submit(&Command::Reconcile(Box::new(desired)));
    assert_eq!(fixture.site.get_queue("build").read(|queue, _| queue.settings.clone()), expected);
}

#[test]
fn a_processing_queue_becomes_idle_when_its_last_entry_is_removed() {
    let processing = || {
        let mut fixture = Fixture::with(&["a", "b"]);
        fixture.submit(&Command::Process { queue: "build".into() });
        fixture
    };
    let mut fixture = processing();
    fixture.save(&["b"]);
    assert_eq!(fixture.mode(), QueueMode::Processing, "one job is left");
    fixture.save(&[]);
    assert_eq!(fixture.mode(), QueueMode::Idle);

    let mut fixture = processing();
    fixture.save(&["new"]);
    assert_eq!(fixture.mode(), QueueMode::Processing, "another job was added");

    let mut fixture = processing();
    fixture.start("a");
    fixture.save(&[]);
    assert_eq!(fixture.mode(), QueueMode::Processing, "one job is running");
    fixture.report("a", Ok(()));
    assert_eq!(fixture.mode(), QueueMode::Idle);

    let mut fixture = processing();
    fixture.succeed("a");
    fixture.save(&["a: false"]);
    assert_eq!(fixture.mode(), QueueMode::Processing, "the finished job is pending again");

    let mut fixture = processing();
    fixture.reconcile("other", &[("other", &[])]);
    assert_eq!(fixture.mode(), QueueMode::Idle, "the queue was removed");
}

/// Quadratic time would take minutes here.
#[test]
fn ten_thousand_jobs_are_reconciled_quickly() {
    let all: Vec<_> = (0..10_000).map(|nth| format!("job {nth}")).collect();
    let mut file: Vec<_> = all.iter().map(String::as_str).collect();
    let mut fixture = Fixture::with(&file);
    assert_eq!(fixture.pending().len(), 10_000);

    let events = fixture.save(&file);
    assert_eq!(events.len(), 1);

    file.rotate_right(1);
    let events = fixture.save(&file);
    assert_eq!(count_moves(&events), 1);

    file.reverse();
    fixture.save(&file);
    assert_eq!(fixture.pending(), file);

    fixture.save(&file[..1]);
    fixture.save(&file);
    assert_eq!(fixture.pending(), file);
}

fn files() -> impl Strategy<Value = Vec<Vec<(usize, bool)>>> {
    let file = prop::collection::btree_map(0..8_usize, any::<bool>(), 0..8)
        .prop_flat_map(|jobs| Just(jobs.into_iter().collect::<Vec<_>>()).prop_shuffle());
    prop::collection::vec(file, 1..12)
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn after_random_saves_the_pending_jobs_match_the_file(files in files(), done in any::<u8>()) {
        let mut fixture = Fixture::new();
        let mut finished: Vec<String> = Vec::new();
        for (nth, file) in files.iter().enumerate() {
            let file: Vec<_> = file.iter().map(|(name, changed)| {
                if *changed { format!("{name}: echo {nth}") } else { name.to_string() }
            }).collect();
            let written: Vec<_> = file.iter().map(String::as_str).collect();
            let before = fixture.site.read(SiteState::clone);
            fixture.save(&written);
            let is_unchanged = |job: &Arc<Definition>| {
                before.job_named(&"build".into(), job.name.as_deref().unwrap()).is_some_and(|before| {
                    before.phase() == Phase::Finished && before.definition.digest == job.digest
                })
            };
            let expected: Vec<_> = written.iter().map(|job| definition(job)).filter(|job| !is_unchanged(job)).collect();
            let expected: Vec<_> = expected.iter().map(|job| job.name.as_deref().unwrap().to_owned()).collect();
            prop_assert_eq!(fixture.pending(), expected.clone());
            finished.retain(|name| !expected.contains(name));
            prop_assert_eq!(fixture.finished(), finished.clone(), "history is kept");
            fixture.site.read(|site| {
                let Ok(declared) = site.file_jobs(&"build".into());
                let mut ids: Vec<_> = declared.iter().map(|declared| declared.id).collect();
                assert!(declared.is_sorted_by_key(|declared| declared.position), "in queue order");
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), declared.len(), "each job once");
                assert_eq!(site.last_position(&"build".into()), Ok(declared.last().map_or(0, |declared| declared.position)));
            });
            let version = format!("save {}", fixture.saves);
            prop_assert_eq!(fixture.reconcile(&version, &[("build", &written)]), []);
            let other = fixture.reconcile("the same content, another version", &[("build", &written)]);
            prop_assert_eq!(other.len(), 1, "no changes are left: {:?}", other);

            if let Some(name) = expected.first().filter(|_| done & (1 << (nth % 8)) != 0) {
                fixture.succeed(name);
                finished.push(name.clone());
            }
        }
    }
}
