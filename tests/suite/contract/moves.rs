//! In which order jobs start, and what a person's hand changes about that and about the pace of a queue.

use std::num::NonZero;
use std::sync::Arc;

use setlist::model::{
    Beside, Command, Definition, Event, JobId, Need, On, Outcome, Phase, QueueId, Refusal, Script, State, Target,
    Terms, Wait,
};
use setlist::store::Store;

use super::{Place, add, at, claimed, definition, done, file, join, process, queue, report, work};

/// A queue with these jobs; those in capitals go first.
fn site(place: &Place, names: &str) -> Box<dyn Store> {
    let mut store = place.connect();
    let job = |name: char| {
        let priority = i32::from(name.is_ascii_uppercase());
        let definition = Definition::new(Script::shell("true"));
        let terms = Arc::new(Terms { priority, ..Terms::default() });
        Arc::new(Definition { name: Some(name.to_string().into()), digest: Some(1), terms, ..definition })
    };
    ask(&mut *store, file("one", 1, names.chars().map(job).collect())).unwrap();
    store
}

fn ask(store: &mut dyn Store, command: Command) -> Result<Vec<Event>, Refusal> {
    store.execute(&[command], at(1)).unwrap().remove(0)
}

fn order(store: &mut dyn Store) -> String {
    let ledger = store.load().unwrap();
    let pending = ledger.queue(&queue()).unwrap().list(Phase::Pending).clone();
    pending.into_iter().map(|id| ledger.job(id).unwrap().name().unwrap().to_owned()).collect()
}

fn id(store: &mut dyn Store, name: char) -> JobId {
    store.load().unwrap().named(&queue(), &name.to_string()).unwrap().id
}

/// Puts the jobs of the name before another one, or behind it.
fn put(store: &mut dyn Store, names: &str, beside: fn(JobId) -> Beside, other: char) -> Result<Vec<Event>, Refusal> {
    let jobs = names.chars().map(|name| id(store, name)).collect();
    let beside = beside(id(store, other));
    ask(store, Command::Move { jobs, beside })
}

pub(super) fn jobs_start_in_queue_order(place: &Place) {
    let mut store = place.connect();
    let named = |name: &str| {
        let mut definition = Definition::clone(&definition(name));
        definition.name = Some(name.into());
        definition.digest = Some(1);
        Arc::new(definition)
    };
    done(&mut *store, file("1", 1, vec![named("a"), named("c")]));
    done(&mut *store, file("2", 1, vec![named("a"), named("b"), named("c")]));
    done(&mut *store, add(1));
    done(&mut *store, process());
    let ran = work(&mut *store);
    let ledger = store.load().unwrap();
    let titles: Vec<_> = ran.iter().map(|job| ledger.job(*job).unwrap().title().to_owned()).collect();
    assert_eq!(titles, ["a", "b", "c", "job 1"]);
}

pub(super) fn a_job_that_was_asked_for_starts_first(place: &Place) {
    let mut store = place.connect();
    done(&mut *store, add(4));
    done(&mut *store, Command::Run { job: JobId(3) });
    let worker = join(&mut *store);
    let (job, run) = claimed(&mut *store, worker).unwrap();
    assert_eq!(job, JobId(3));
    done(&mut *store, report(job, run, Outcome::Succeeded));
    assert_eq!(claimed(&mut *store, worker), None, "the queue itself is idle");
    done(&mut *store, process());
    assert_eq!(work(&mut *store), [JobId(1), JobId(2), JobId(4)]);
}

pub(super) fn jobs_are_moved_by_hand(place: &Place) {
    a_place_is_found_however_often_jobs_are_moved(place);
    let mut store = site(place, "abcdeXY");
    let store = &mut *store;
    assert_eq!(order(store), "XYabcde");
    for (names, beside, other, expected) in [
        ("d", Beside::Before as fn(JobId) -> Beside, 'b', "XYadbce"),
        ("a", Beside::After, 'e', "XYdbcea"),
        ("ae", Beside::Before, 'd', "XYaedbc"),
        ("bd", Beside::After, 'c', "XYaecbd"),
        ("Y", Beside::Before, 'X', "YXaecbd"),
        ("cc", Beside::Before, 'a', "YXcaebd"),
    ] {
        put(store, names, beside, other).unwrap();
        assert_eq!(order(store), expected, "{names} beside {other}");
    }
    let why = |answer: Result<Vec<Event>, Refusal>| answer.unwrap_err().to_string();
    let refused = why(put(store, "aX", Beside::Before, 'b'));
    let expected = format!("{} can't be put beside #2: it has another priority, which decides first", id(store, 'X'));
    assert_eq!(refused, expected);
    assert_eq!(why(put(store, "b", Beside::After, 'b')), "#2 can't be put beside #2: it is the same job");
    let worker = join(store);
    let job = id(store, 'c');
    ask(store, Command::Start { worker, job }).unwrap();
    assert_eq!(why(put(store, "c", Beside::After, 'a')), "#3 is running: only a pending job has a place to move to");
    assert_eq!(order(store), "YXaebd", "a refused command changes nothing");
}

fn a_place_is_found_however_often_jobs_are_moved(place: &Place) {
    let mut store = site(place, "abcd");
    let store = &mut *store;
    for round in 0..60 {
        put(store, "c", Beside::Before, 'b').unwrap();
        assert_eq!(order(store), "acbd", "round {round}");
        put(store, "b", Beside::Before, 'c').unwrap();
        assert_eq!(order(store), "abcd", "round {round}");
        let first = order(store).chars().next().unwrap();
        put(store, "d", Beside::Before, first).unwrap();
        put(store, "d", Beside::After, 'c').unwrap();
        assert_eq!(order(store), "abcd", "round {round}");
    }
    let moved = file(
        "two",
        1,
        vec![Definition { name: Some("z".into()), digest: Some(1), ..Definition::new(Script::shell("true")) }.into()],
    );
    ask(store, moved).unwrap();
    assert_eq!(order(store), "z", "the file has the last word");
}

pub(super) fn parallel_is_changed_by_hand_until_the_file_changes(place: &Place) {
    let mut store = site(place, "abc");
    let store = &mut *store;
    let worker = join(store);
    ask(store, Command::Process { queue: queue() }).unwrap();
    let claim = Command::Claim { worker, queues: None };
    ask(store, claim.clone()).unwrap();
    assert!(ask(store, claim.clone()).is_err(), "there is room for one");
    ask(store, Command::Parallel { queue: queue(), parallel: NonZero::new(2).unwrap() }).unwrap();
    ask(store, claim.clone()).unwrap();
    assert!(ask(store, claim).is_err());
    let again = ask(store, Command::Parallel { queue: queue(), parallel: NonZero::new(2).unwrap() });
    assert_eq!(again, Ok(Vec::new()), "nothing changes");
    ask(store, file("two", 1, Vec::new())).unwrap();
    assert_eq!(store.load().unwrap().queue(&queue()).unwrap().settings.parallel, 1);
    let other = Command::Parallel { queue: "other".into(), parallel: NonZero::new(2).unwrap() };
    assert_eq!(ask(store, other), Err(Refusal::NoQueue("other".to_owned())));
}

pub(super) fn jobs_change_their_queue(place: &Place) {
    let mut store = site(place, "a");
    let other = QueueId::from("other");
    ask(&mut *store, Command::Open { queue: other.clone() }).unwrap();
    done(&mut *store, add(3));
    let [ran, waits, runs] = [JobId(2), JobId(3), JobId(4)];
    let worker = join(&mut *store);
    for id in [ran, runs] {
        done(&mut *store, Command::Run { job: id });
    }
    let (job, run) = claimed(&mut *store, worker).unwrap();
    assert_eq!(job, ran);
    done(&mut *store, report(job, run, Outcome::Succeeded));
    assert_eq!(claimed(&mut *store, worker).unwrap().0, runs);
    // One that waits for one that goes goes on waiting.
    let needy = Definition {
        terms: Arc::new(Terms {
            needs: vec![Need { job: Target::Number(waits), on: On::Success }],
            ..Terms::default()
        }),
        ..Definition::new(Script::shell("true"))
    };
    done(&mut *store, Command::Add { queue: queue(), jobs: vec![needy.into()] });

    let site = setlist::Site::holding(store.load().unwrap(), "copy");
    let before = store.load().unwrap();
    for (jobs, to, why) in [
        (vec![waits, runs], &other, "#4 is running: it can be moved when it has finished"),
        (vec![JobId(1)], &other, "#1 is pending: it stands in jobs.yaml; move it there"),
        (vec![waits], &queue(), "#3 is pending: it is in that queue already"),
        (vec![JobId(99)], &other, "there is no job #99"),
        (vec![waits], &"none".into(), "there is no queue \"none\""),
    ] {
        let refused = ask(&mut *store, Command::Transfer { jobs, queue: to.clone() }).unwrap_err();
        assert_eq!(refused.to_string(), why);
        assert_eq!(store.load().unwrap(), before, "a refused command changes nothing");
    }
    ask(&mut *store, Command::Transfer { jobs: vec![waits, ran, waits], queue: other.clone() }).unwrap();
    let ledger = store.load().unwrap();
    let record = ledger.queue(&other).unwrap();
    assert_eq!((record.list(Phase::Pending), record.list(Phase::Finished)), (&[waits].into(), &[ran].into()));
    assert_eq!(ledger.job(ran).unwrap().attempts, 1);
    assert_eq!(store.runs(ran).unwrap().len(), 1, "its runs go with it");
    assert!(matches!(ledger.job(JobId(5)).unwrap().state, State::Pending { wait: Wait { needs: true, .. }, .. }));
    site.follow(&store.events_after(before.seq()).unwrap().unwrap());
    site.read(|copy| assert_eq!(*copy, ledger));
    assert_eq!(place.connect().load().unwrap(), ledger);
    ask(&mut *store, Command::Process { queue: other }).unwrap();
    assert_eq!(claimed(&mut *store, worker).unwrap().0, waits);
}

pub(super) fn a_job_that_is_announced_becomes_the_entry(place: &Place) {
    let mut store = site(place, "a");
    done(&mut *store, add(2));
    let entry = |name: &str, digest| {
        Arc::new(Definition { name: Some(name.into()), digest: Some(digest), ..Definition::new(Script::shell("true")) })
    };
    let refused = ask(&mut *store, Command::Announce { job: JobId(1), digest: 7 }).unwrap_err();
    assert_eq!(refused.to_string(), "#1 is pending: it stands in jobs.yaml already");
    ask(&mut *store, Command::Announce { job: JobId(3), digest: 7 }).unwrap();
    // A file in which it doesn't stand takes nothing away.
    ask(&mut *store, file("two", 1, vec![entry("a", 1)])).unwrap();
    assert_eq!(store.load().unwrap().job(JobId(3)).unwrap().phase(), Phase::Pending);
    ask(&mut *store, file("three", 1, vec![entry("a", 1), entry("late", 7), entry("new", 7)])).unwrap();
    let ledger = store.load().unwrap();
    let id = |name: &str| ledger.named(&queue(), name).map(|job| job.id);
    assert_eq!(
        (id("a"), id("late"), id("new")),
        (Some(JobId(1)), Some(JobId(3)), Some(JobId(4))),
        "one entry is one job"
    );
    assert_eq!(ledger.jobs().count(), 4);
    // One that runs is not touched, and is the same when it has ended.
    let worker = join(&mut *store);
    ask(&mut *store, Command::Run { job: JobId(2) }).unwrap();
    let (job, run) = claimed(&mut *store, worker).unwrap();
    ask(&mut *store, Command::Announce { job, digest: 9 }).unwrap();
    let all = || vec![entry("a", 1), entry("late", 7), entry("new", 7), entry("ran", 9)];
    ask(&mut *store, file("four", 1, all())).unwrap();
    let ledger = store.load().unwrap();
    assert_eq!((ledger.jobs().count(), ledger.job(job).unwrap().name(), ledger.stamp()), (4, None, Some("")));
    done(&mut *store, report(job, run, Outcome::Succeeded));
    ask(&mut *store, file("four", 1, all())).unwrap();
    let ledger = store.load().unwrap();
    let ran = ledger.job(job).unwrap();
    assert_eq!((ledger.jobs().count(), ran.name(), ran.phase()), (4, Some("ran"), Phase::Finished));
    // From now on they are as any others of the file.
    ask(&mut *store, file("five", 1, vec![entry("a", 1)])).unwrap();
    assert_eq!(store.load().unwrap().jobs().count(), 2, "pending ones have left");
}
