//! Random commands, asked of every backend: all of them answer alike, and every copy equals a fresh load.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use setlist::model::{
    Command, Definition, JobId, Ledger, OnFailure, Outcome, Phase, Plan, QueueId, QueuePlan, Report, RunId, Script,
    Settings, Site, Stop, WorkerId,
};
use setlist::store::{Memory, Sqlite, Store};
use tempfile::TempDir;

use super::{Folder, at, definition, failed};

/// Something to ask for. What depends on the site, such as the run that a report is about, is found when it is asked.
#[derive(Clone, Debug)]
enum Ask {
    Plain(Command),
    /// The end of the nth run under way.
    End(usize, Report, Option<OnFailure>),
}

impl Ask {
    fn command(&self, ledger: &Ledger) -> Command {
        match self {
            Self::Plain(command) => command.clone(),
            Self::End(nth, report, on_failure) => {
                let mut running: Vec<_> = ledger.jobs().filter_map(|job| Some((job.id, job.running()?))).collect();
                running.sort();
                let none = (JobId(1), RunId(1));
                let (job, run) = running.get(nth % running.len().max(1)).copied().unwrap_or(none);
                Command::Report { job, run, report: report.clone(), on_failure: *on_failure }
            }
        }
    }
}

fn queues() -> impl Strategy<Value = QueueId> {
    select(vec!["a", "ü. ", ""]).prop_map(QueueId::from)
}

fn jobs() -> impl Strategy<Value = JobId> {
    (1..14_u64).prop_map(JobId)
}

fn workers() -> impl Strategy<Value = WorkerId> {
    (1..4_u64).prop_map(WorkerId)
}

fn phases() -> impl Strategy<Value = Phase> {
    select(vec![Phase::Pending, Phase::Running, Phase::Finished])
}

fn stops() -> impl Strategy<Value = Stop> {
    select(vec![Stop::Terminate, Stop::Kill])
}

fn on_failure() -> impl Strategy<Value = OnFailure> {
    select(vec![OnFailure::Continue, OnFailure::Stop])
}

fn reports() -> impl Strategy<Value = Report> {
    let outcomes = vec![Outcome::Succeeded, Outcome::Succeeded, failed(), Outcome::Cancelled, Outcome::Interrupted];
    let values =
        vec![None, Some(serde_json::Value::Null), Some("".into()), Some(serde_json::json!({"é": [1.5, "\0"]}))];
    let exits = vec![None, Some(setlist::model::Exit::Code(-3)), Some(setlist::model::Exit::Signal(9))];
    (select(outcomes), select(exits), select(values)).prop_map(|(outcome, exit, value)| Report { outcome, exit, value })
}

/// A file with some of five jobs, in one order or the other, some of them rewritten.
fn plans() -> impl Strategy<Value = Plan> {
    let planned = (subsequence(vec!["a", "b", "c", "d", "e"], 0..=5), any::<bool>(), 0..3_i64);
    let queue = (queues(), planned, 1..4_u32, on_failure());
    let queue = queue.prop_map(|(id, (mut names, reversed, digest), parallel, on_failure)| {
        if reversed {
            names.reverse();
        }
        let settings = Settings { parallel, on_failure, declared: true, order: parallel, ..Settings::default() };
        QueuePlan { id, settings, jobs: names.iter().map(|name| named(name, digest)).collect() }
    });
    (0..1_000_u32, proptest::collection::vec(queue, 0..3)).prop_map(|(stamp, mut queues)| {
        queues.sort_by(|a, b| a.id.cmp(&b.id));
        queues.dedup_by(|a, b| a.id == b.id);
        Plan { stamp: stamp.to_string(), queues }
    })
}

fn named(name: &str, digest: i64) -> Arc<Definition> {
    let mut definition = Definition::new(Script::command(["echo", name]));
    definition.name = Some(name.into());
    definition.digest = Some(digest * i64::from(name < "c"));
    definition.tags = vec![digest.to_string()];
    Arc::new(definition)
}

fn asks() -> impl Strategy<Value = Ask> {
    let some = || proptest::option::of(proptest::collection::vec(queues(), 1..3));
    let plain = prop_oneof![
        2 => plans().prop_map(|plan| Command::Reconcile(Box::new(plan))),
        1 => queues().prop_map(|queue| Command::Open { queue }),
        3 => (queues(), 0..4_usize).prop_map(|(queue, count)| {
            Command::Add { queue, jobs: (0..count).map(|nth| definition(&format!("{nth}"))).collect() }
        }),
        4 => queues().prop_map(|queue| Command::Process { queue }),
        1 => queues().prop_map(|queue| Command::Pause { queue }),
        2 => jobs().prop_map(|job| Command::Run { job }),
        1 => jobs().prop_map(|job| Command::Reset { job }),
        2 => (jobs(), stops()).prop_map(|(job, stop)| Command::Cancel { job, stop }),
        1 => proptest::collection::vec(jobs(), 1..3).prop_map(|jobs| Command::Remove { jobs }),
        1 => (queues(), phases()).prop_map(|(queue, phase)| Command::Clear { queue, phase }),
        2 => proptest::collection::vec(jobs(), 1..3).prop_map(|jobs| Command::Restore { jobs }),
        2 => (1..9_u32).prop_map(|pid| Command::Join { host: "here".to_owned(), pid, queues: None }),
        8 => (workers(), some()).prop_map(|(worker, queues)| Command::Claim { worker, queues }),
        1 => (workers(), jobs()).prop_map(|(worker, job)| Command::Start { worker, job }),
        1 => workers().prop_map(|worker| Command::Bury { worker }),
        1 => (workers(), some()).prop_map(|(worker, queues)| Command::Leave { worker, queues }),
    ];
    prop_oneof![
        5 => plain.prop_map(Ask::Plain),
        2 => (0..5_usize, reports(), proptest::option::of(on_failure())).prop_map(|(nth, report, on_failure)| {
            Ask::End(nth, report, on_failure)
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_backends_and_copies_agree(
        // The clock may stand still, and even go back.
        batches in proptest::collection::vec((proptest::collection::vec(asks(), 1..8), -2..5_i64), 1..16),
    ) {
        let folder = TempDir::new().unwrap();
        let mut memory = Memory::new(folder.path());
        let mut sqlite = Sqlite::open(&Folder::new(folder.path())).unwrap();
        let copies = [&mut memory as &mut dyn Store, &mut sqlite].map(|store| Site::holding(store.load().unwrap(), ""));
        let mut clock = 100;
        for (asks, passed) in &batches {
            clock += passed;
            let ledger = memory.load().unwrap();
            let commands: Vec<Command> = asks.iter().map(|ask| ask.command(&ledger)).collect();
            let answers = memory.execute(&commands, at(clock)).unwrap();
            prop_assert_eq!(&sqlite.execute(&commands, at(clock)).unwrap(), &answers);
            for (copy, store) in copies.iter().zip([&mut memory as &mut dyn Store, &mut sqlite]) {
                let seq = copy.read(Ledger::seq);
                copy.follow(&store.events_after(seq).unwrap().unwrap());
            }
        }
        let fresh = sqlite.load().unwrap();
        prop_assert_eq!(&memory.load().unwrap(), &fresh);
        for copy in &copies {
            prop_assert!(copy.read(|copy| *copy == fresh), "{:#?}\nis not\n{:#?}", copy.read(Ledger::clone), fresh);
        }
        for job in (1..=fresh.counters().job).map(JobId) {
            prop_assert_eq!(memory.job(job).unwrap(), sqlite.job(job).unwrap());
            prop_assert_eq!(memory.runs(job).unwrap(), sqlite.runs(job).unwrap());
        }
        let mut reopened = Sqlite::open(&Folder::new(folder.path())).unwrap();
        prop_assert_eq!(reopened.load().unwrap(), fresh);
    }
}
