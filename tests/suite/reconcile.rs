//! What saving `jobs.yaml` does to a site: the rules of editing while things run.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use setlist::model::{
    Definition, Event, Failure, Job, JobId, Ledger, Mode, Outcome, Phase, Plan, QueueId, QueuePlan, Report, RunId,
    Script, Settings, State, View, Wait, WorkerId,
};
use setlist::{Command, Site};

use crate::dice::cases;

/// A site with one worker, and a clock of its own.
struct Desk {
    site: Site,
    now: DateTime<Utc>,
    saves: u32,
}

impl Desk {
    fn new() -> Self {
        let mut desk = Self { site: Site::new(), now: DateTime::UNIX_EPOCH, saves: 0 };
        desk.submit(&Command::Join { host: "here".to_owned(), pid: 1, queues: None });
        desk
    }

    /// A desk whose file has these jobs in its queue `build`.
    fn with(jobs: &[&str]) -> Self {
        let mut desk = Self::new();
        desk.save(jobs);
        desk
    }

    fn submit(&mut self, command: &Command) -> Vec<Event> {
        self.now += TimeDelta::seconds(1);
        self.site.submit(command, self.now).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"))
    }

    /// Saves a file that has these jobs in its queue `build`, and reads it.
    fn save(&mut self, jobs: &[&str]) -> Vec<Event> {
        self.saves += 1;
        let stamp = format!("save {}", self.saves);
        self.read(&stamp, &[("build", jobs)])
    }

    /// Reads the file again, as after a save that changed nothing.
    fn read(&mut self, stamp: &str, queues: &[(&str, &[&str])]) -> Vec<Event> {
        self.submit(&Command::Reconcile(Box::new(plan(stamp, queues))))
    }

    fn id(&self, name: &str) -> JobId {
        self.job(name).id
    }

    fn job(&self, name: &str) -> Job {
        self.site.read(|site| site.named(&"build".into(), name).cloned()).unwrap_or_else(|| panic!("no job {name}"))
    }

    fn is_there(&self, name: &str) -> bool {
        self.site.read(|site| site.named(&"build".into(), name).is_some())
    }

    fn mode(&self) -> Mode {
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
        self.job(name).running().expect("it runs")
    }

    fn report(&mut self, name: &str, result: Result<(), &str>) {
        let job = self.job(name);
        let result = result.map(|()| None).map_err(Failure::error);
        let report = Report::from(result);
        self.submit(&Command::Report { job: job.id, run: job.running().expect("it runs"), report, on_failure: None });
    }

    fn succeed(&mut self, name: &str) {
        self.start(name);
        self.report(name, Ok(()));
    }
}

/// Jobs are written as `name`, or as `name: script` for another script than the first one.
fn definition(job: &str) -> Arc<Definition> {
    let (name, script) = job.split_once(": ").unwrap_or((job, "true"));
    let mut definition = Definition::new(Script::shell(script));
    definition.name = Some(name.into());
    definition.digest = Some(script.bytes().fold(7, |digest, byte| digest * 31 + i64::from(byte)));
    Arc::new(definition)
}

fn plan(stamp: &str, queues: &[(&str, &[&str])]) -> Plan {
    let queue = |(order, (id, jobs)): (u32, &(&str, &[&str]))| QueuePlan {
        id: QueueId::from(*id),
        settings: Settings { declared: true, order, ..Settings::default() },
        jobs: jobs.iter().map(|job| definition(job)).collect(),
    };
    Plan { stamp: stamp.to_owned(), queues: (0..).zip(queues).map(queue).collect() }
}

fn names(jobs: &[Job]) -> Vec<String> {
    jobs.iter().map(|job| job.name().map_or_else(|| job.id.to_string(), str::to_owned)).collect()
}

fn moves(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Moved { .. })).count()
}

#[test]
fn a_new_definition_becomes_pending_in_the_files_order() {
    let mut desk = Desk::with(&["a", "c"]);
    assert_eq!(desk.pending(), ["a", "c"]);
    assert_eq!(desk.mode(), Mode::Idle, "reading a file starts nothing");
    let events = desk.save(&["first", "a", "b", "c", "last"]);
    assert_eq!(desk.pending(), ["first", "a", "b", "c", "last"]);
    assert_eq!(moves(&events), 0, "there is room between the others");
    assert_eq!(desk.job("b").enqueued, desk.now);
}

#[test]
fn a_changed_definition_that_is_pending_is_changed_in_place() {
    let mut desk = Desk::with(&["a", "b", "c"]);
    let before = desk.job("b");
    desk.save(&["a", "b: false", "c"]);
    let after = desk.job("b");
    assert_eq!(after, Job { definition: definition("b: false"), ..before });
    assert_eq!(desk.pending(), ["a", "b", "c"]);
}

#[test]
fn a_changed_definition_that_has_finished_becomes_pending_again_with_its_history() {
    let mut desk = Desk::with(&["a", "b"]);
    desk.succeed("a");
    let before = desk.job("a");
    desk.save(&["a: false", "b"]);
    let after = desk.job("a");
    assert_eq!(desk.pending(), ["a", "b"]);
    assert_eq!(desk.finished(), [""; 0]);
    assert_eq!((after.id, after.attempts, after.executed), (before.id, 1, before.executed));
    assert_eq!(after.last_run, before.last_run);
    assert_eq!(after.enqueued, desk.now);
    desk.succeed("a");
    assert_eq!(desk.job("a").attempts, 2);
}

#[test]
fn an_unchanged_definition_is_left_alone() {
    let mut desk = Desk::with(&["a", "b"]);
    desk.succeed("a");
    let before = desk.site.read(Ledger::clone);
    let events = desk.save(&["a", "b"]);
    assert!(matches!(&events[..], [Event::FileRead { .. }]), "{events:?}");
    let again = desk.read("save 2", &[("build", &["something", "else"])]);
    assert_eq!(again, [], "a version that is in force is not looked at");
    for job in before.jobs() {
        assert_eq!(desk.site.read(|site| site.job(job.id).cloned()).as_ref(), Some(job));
    }
}

#[test]
fn what_a_job_inherits_is_taken_over_without_running_it_again() {
    let mut desk = Desk::with(&["a", "b"]);
    desk.succeed("a");
    let mut plan = plan("with an environment", &[("build", &["a", "b"])]);
    for job in &mut plan.queues[0].jobs {
        Arc::make_mut(job).tags = vec!["nightly".to_owned()];
    }
    desk.submit(&Command::Reconcile(Box::new(plan)));
    assert_eq!(desk.finished(), ["a"]);
    assert_eq!(desk.job("a").definition.tags, ["nightly"]);
    assert_eq!(desk.job("b").definition.tags, ["nightly"]);
}

#[test]
fn a_removed_definition_leaves_pending_and_keeps_its_history() {
    let mut desk = Desk::with(&["a", "b", "c"]);
    desk.succeed("a");
    desk.save(&["c"]);
    assert_eq!(desk.pending(), ["c"]);
    assert_eq!(desk.finished(), ["a"]);
}

#[test]
fn what_the_file_took_away_it_brings_back_as_the_same_job() {
    let mut desk = Desk::with(&["a", "b", "c"]);
    desk.start("b");
    desk.site.submit(&Command::Pause { queue: "build".into() }, desk.now).unwrap();
    let report = Report { outcome: Outcome::Interrupted, exit: None, value: None };
    let job = desk.job("b");
    desk.submit(&Command::Report { job: job.id, run: job.running().unwrap(), report, on_failure: None });
    desk.submit(&Command::Run { job: job.id });
    desk.save(&["a", "c"]);
    assert!(!desk.is_there("b"));

    desk.save(&["a", "b", "c"]);
    assert_eq!(desk.pending(), ["a", "b", "c"]);
    let back = desk.job("b");
    assert_eq!((back.id, back.attempts), (job.id, 1));
    assert_eq!(back.state, State::Pending { asked: false, wait: Wait::default() }, "reading a file starts nothing");
}

#[test]
fn what_a_hand_took_away_stays_away_until_its_entry_changes() {
    let mut desk = Desk::with(&["a", "b", "c"]);
    desk.succeed("c");
    let (b, c) = (desk.id("b"), desk.id("c"));
    desk.submit(&Command::Remove { jobs: vec![b, c] });
    for _ in 0..2 {
        desk.save(&["new", "a", "b", "c"]);
        assert_eq!((desk.pending(), desk.finished()), (vec!["new".to_owned(), "a".to_owned()], vec![]));
    }
    desk.save(&["new", "a", "b: false", "c: false"]);
    assert_eq!(desk.pending(), ["new", "a", "b", "c"]);
    assert_eq!((desk.id("b"), desk.id("c")), (b, c), "they are the same jobs");
    assert_eq!(desk.job("c").attempts, 1);
}

#[test]
fn a_running_job_is_never_touched_and_the_next_reading_finishes_the_work() {
    let mut desk = Desk::with(&["a", "b"]);
    desk.start("a");
    let running = desk.job("a");
    desk.save(&["c", "a: false", "b: false"]);
    assert_eq!(desk.job("a"), running);
    assert_eq!(desk.pending(), ["c", "b"], "everything else is done at once");

    let changed: &[(&str, &[&str])] = &[("build", &["c", "a: false", "b: false"])];
    assert_eq!(desk.read("save 2", changed), [], "as long as it runs there is nothing more to do");
    desk.report("a", Ok(()));
    assert_eq!(desk.finished(), ["a"]);
    desk.read("save 2", changed);
    assert_eq!(desk.pending(), ["c", "a", "b"]);
    assert_eq!(desk.job("a").definition, definition("a: false"));
    assert_eq!(desk.read("save 2", changed), []);
}

#[test]
fn going_back_to_the_old_file_while_a_job_runs_takes_everything_back() {
    let mut desk = Desk::with(&["a", "b"]);
    desk.start("a");
    desk.save(&["a: false", "b: false", "c"]);
    assert_eq!(desk.pending(), ["b", "c"]);
    desk.read("save 1", &[("build", &["a", "b"])]);
    assert_eq!(desk.pending(), ["b"]);
    assert_eq!(desk.job("b").definition, definition("b"));
    assert_eq!(desk.site.read(|site| site.stamp().map(str::to_owned)).as_deref(), Some("save 1"));
}

#[test]
fn a_running_job_that_left_the_file_goes_when_it_is_pending_again() {
    for (file, outcome) in [("its jobs", "left"), ("its queue", "left"), ("its queue", "done")] {
        let mut desk = Desk::with(&["a", "b"]);
        desk.start("a");
        let without: &[(&str, &[&str])] = if file == "its jobs" { &[("build", &["b"])] } else { &[("other", &[])] };
        desk.read("without", without);
        assert!(desk.job("a").running().is_some());
        if outcome == "done" {
            desk.report("a", Ok(()));
        } else {
            let job = desk.job("a");
            let report = Report::from(Err(Failure::error("broken")));
            let on_failure = Some(setlist::model::OnFailure::Stop);
            desk.submit(&Command::Report { job: job.id, run: job.running().unwrap(), report, on_failure });
            assert!(desk.pending().contains(&"a".to_owned()), "it is pending in its place");
        }
        desk.read("without", without);
        assert!(!desk.pending().contains(&"a".to_owned()), "{file}");
        assert_eq!(desk.finished().contains(&"a".to_owned()), outcome == "done", "its history stays");
        assert_eq!(desk.read("without", without), []);
    }
}

#[test]
fn jobs_take_the_files_order_and_as_few_as_possible_move() {
    let mut desk = Desk::with(&["a", "b", "c", "d", "e"]);
    let events = desk.save(&["e", "a", "b", "c", "d"]);
    assert_eq!(desk.pending(), ["e", "a", "b", "c", "d"]);
    assert_eq!(moves(&events), 1);
    let events = desk.save(&["a", "b", "c", "d", "e"]);
    assert_eq!(desk.pending(), ["a", "b", "c", "d", "e"]);
    assert_eq!(moves(&events), 1);
    let events = desk.save(&["e", "d", "c", "b", "a"]);
    assert_eq!(desk.pending(), ["e", "d", "c", "b", "a"]);
    assert_eq!(moves(&events), 4);
}

#[test]
fn jobs_are_renumbered_where_there_is_no_room() {
    let mut desk = Desk::with(&["first", "last"]);
    let mut jobs = vec!["first".to_owned(), "last".to_owned()];
    let mut renumbered = 0;
    for nth in 0..60 {
        jobs.insert(1, format!("job {nth}"));
        let file: Vec<_> = jobs.iter().map(String::as_str).collect();
        let events = desk.save(&file);
        assert_eq!(desk.pending(), jobs);
        renumbered += usize::from(moves(&events) > 0);
    }
    assert!((1..=4).contains(&renumbered), "renumbered {renumbered} times");
}

#[test]
fn jobs_added_by_hand_are_no_business_of_the_files() {
    let mut desk = Desk::with(&["a", "b"]);
    let mut by_hand = Definition::new(Script::shell("true"));
    by_hand.name = Some("a".into());
    by_hand.digest = Some(1);
    desk.submit(&Command::Add { queue: "build".into(), jobs: vec![Arc::new(by_hand)] });
    assert_eq!(desk.pending(), ["a", "b", "#3"], "only the file names jobs");
    desk.save(&["b", "c"]);
    assert_eq!(desk.pending(), ["b", "#3", "c"]);
    desk.save(&[]);
    assert_eq!(desk.pending(), ["#3"]);
}

#[test]
fn a_queue_that_left_the_file_keeps_what_is_not_the_files() {
    let mut desk = Desk::with(&["a", "b"]);
    desk.succeed("a");
    desk.submit(&Command::Add { queue: "build".into(), jobs: vec![Arc::new(Definition::new(Script::shell("true")))] });
    desk.read("other", &[("other", &["x"])]);
    assert_eq!((desk.pending(), desk.finished()), (vec!["#3".to_owned()], vec!["a".to_owned()]));
    let declared = |desk: &Desk| desk.site.get_queue("build").read(|queue, _| queue.settings.declared);
    assert!(!declared(&desk));
    let order = desk.site.read(|site| site.queues().into_iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>());
    assert_eq!(order, ["other", "build"], "it comes after those of the file");

    desk.read("back", &[("build", &["a", "b"]), ("other", &["x"])]);
    assert!(declared(&desk));
    assert_eq!(desk.pending(), ["b", "#3"]);
}

#[test]
fn settings_follow_the_file() {
    let mut desk = Desk::with(&["a"]);
    let mut plan = plan("wider", &[("build", &["a"])]);
    plan.queues[0].settings.parallel = 4;
    plan.queues[0].settings.title = "Build".to_owned();
    let expected = plan.queues[0].settings.clone();
    desk.submit(&Command::Reconcile(Box::new(plan)));
    assert_eq!(desk.site.get_queue("build").read(|queue, _| queue.settings.clone()), expected);
}

#[test]
fn a_queue_that_is_processed_falls_idle_when_the_file_takes_its_last_job() {
    let processing = || {
        let mut desk = Desk::with(&["a", "b"]);
        desk.submit(&Command::Process { queue: "build".into() });
        desk
    };
    let mut desk = processing();
    desk.save(&["b"]);
    assert_eq!(desk.mode(), Mode::Processing, "one is left");
    desk.save(&[]);
    assert_eq!(desk.mode(), Mode::Idle);

    let mut desk = processing();
    desk.save(&["new"]);
    assert_eq!(desk.mode(), Mode::Processing, "another has come");

    let mut desk = processing();
    desk.start("a");
    desk.save(&[]);
    assert_eq!(desk.mode(), Mode::Processing, "one runs");
    desk.report("a", Ok(()));
    assert_eq!(desk.mode(), Mode::Idle);

    let mut desk = processing();
    desk.succeed("a");
    desk.save(&["a: false"]);
    assert_eq!(desk.mode(), Mode::Processing, "the finished one is pending again");

    let mut desk = processing();
    desk.read("other", &[("other", &[])]);
    assert_eq!(desk.mode(), Mode::Idle, "the queue itself has left");
}

/// Quadratic work would take minutes here.
#[test]
fn ten_thousand_jobs_are_no_trouble() {
    let all: Vec<_> = (0..10_000).map(|nth| format!("job {nth}")).collect();
    let mut file: Vec<_> = all.iter().map(String::as_str).collect();
    let mut desk = Desk::with(&file);
    assert_eq!(desk.pending().len(), 10_000);

    let events = desk.save(&file);
    assert_eq!(events.len(), 1);

    file.rotate_right(1);
    let events = desk.save(&file);
    assert_eq!(moves(&events), 1);

    file.reverse();
    desk.save(&file);
    assert_eq!(desk.pending(), file);

    desk.save(&file[..1]);
    desk.save(&file);
    assert_eq!(desk.pending(), file);
}

fn files() -> impl Strategy<Value = Vec<Vec<(usize, bool)>>> {
    let file = prop::collection::btree_map(0..8_usize, any::<bool>(), 0..8)
        .prop_flat_map(|jobs| Just(jobs.into_iter().collect::<Vec<_>>()).prop_shuffle());
    prop::collection::vec(file, 1..12)
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn after_any_saves_the_pending_jobs_are_those_of_the_file_in_its_order(files in files(), done in any::<u8>()) {
        let mut desk = Desk::new();
        let mut finished: Vec<String> = Vec::new();
        for (nth, file) in files.iter().enumerate() {
            let file: Vec<_> = file.iter().map(|(name, changed)| {
                if *changed { format!("{name}: echo {nth}") } else { name.to_string() }
            }).collect();
            let written: Vec<_> = file.iter().map(String::as_str).collect();
            let before = desk.site.read(Ledger::clone);
            desk.save(&written);
            let is_as_it_was = |job: &Arc<Definition>| {
                before.named(&"build".into(), job.name.as_deref().unwrap()).is_some_and(|before| {
                    before.phase() == Phase::Finished && before.definition.digest == job.digest
                })
            };
            let expected: Vec<_> = written.iter().map(|job| definition(job)).filter(|job| !is_as_it_was(job)).collect();
            let expected: Vec<_> = expected.iter().map(|job| job.name.as_deref().unwrap().to_owned()).collect();
            prop_assert_eq!(desk.pending(), expected.clone());
            finished.retain(|name| !expected.contains(name));
            prop_assert_eq!(desk.finished(), finished.clone(), "history stays");
            desk.site.read(|site| {
                let Ok(filed) = site.filed(&"build".into());
                let mut ids: Vec<_> = filed.iter().map(|filed| filed.id).collect();
                assert!(filed.is_sorted_by_key(|filed| filed.position), "in queue order, wherever they were before");
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), filed.len(), "each once");
                assert_eq!(site.last_position(&"build".into()), Ok(filed.last().map_or(0, |filed| filed.position)));
            });
            let stamp = format!("save {}", desk.saves);
            prop_assert_eq!(desk.read(&stamp, &[("build", &written)]), []);
            let other = desk.read("the same under another stamp", &[("build", &written)]);
            prop_assert_eq!(other.len(), 1, "nothing is left to do: {:?}", other);

            if let Some(name) = expected.first().filter(|_| done & (1 << (nth % 8)) != 0) {
                desk.succeed(name);
                finished.push(name.clone());
            }
        }
    }
}
