//! The rules of the core model: processing order, the effects of a failure, and the ownership of queues.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use chrono::Utc;
use setlist::model::{
    Arguments, Command, Event, Exit, Failure, FailureKind, JobId, OnFailure, Outcome, Phase, Refusal, Script, Value,
};
use setlist::worker::{ProcessPolicy, StartOrder};
use setlist::{Job, Queue, Site, get_queue};

/// Which jobs were called, in order.
type Calls = Arc<Mutex<Vec<usize>>>;

const CONTINUE: ProcessPolicy =
    ProcessPolicy { on_failure: OnFailure::Continue, parallel: 1, order: StartOrder::Queue };

/// How long a test waits before it fails.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// A job that records its number and fails if `fails`.
fn job(number: usize, fails: bool, calls: &Calls) -> Job {
    let calls = Arc::clone(calls);
    Job::new(move || {
        calls.lock().unwrap().push(number);
        if fails { Err(format!("job {number} is broken")) } else { Ok(number) }
    })
    .with_title(number.to_string())
}

/// A queue with jobs numbered from 0; `fails` selects the failing ones.
fn queue(jobs: usize, fails: impl Fn(usize) -> bool) -> (Queue, Calls) {
    let (queue, calls) = (Queue::new(), Calls::default());
    for number in 0..jobs {
        queue.append(job(number, fails(number), &calls));
    }
    (queue, calls)
}

fn titles(jobs: &[Job]) -> Vec<usize> {
    jobs.iter().map(|job| job.title().parse().unwrap()).collect()
}

fn called(calls: &Calls) -> Vec<usize> {
    calls.lock().unwrap().clone()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<usize> {
    range.collect()
}

#[test]
fn every_pending_job_is_attempted_once_in_order() {
    for count in 0..=8 {
        let (queue, calls) = queue(count, |_| false);
        assert_eq!(titles(&queue.pending()), numbers(0..count), "append order is kept");
        assert_eq!(queue.process(), Ok(count));
        assert_eq!(called(&calls), numbers(0..count));
        assert_eq!(queue.pending(), []);
        assert_eq!(titles(&queue.finished()), numbers(0..count));
        assert_eq!(queue.process(), Ok(0), "finished jobs are not attempted again");
        assert_eq!(called(&calls).len(), count);
    }
}

#[test]
fn a_failure_is_returned_and_leaves_the_job_pending_in_place() {
    for count in 1..=8 {
        for bad in 0..count {
            let (queue, calls) = queue(count, |number| number == bad);
            let failure = queue.process().unwrap_err();
            assert_eq!(failure.to_string(), format!("job {bad} is broken"));
            assert_eq!(called(&calls), numbers(0..bad + 1), "later jobs are untouched");
            assert_eq!(titles(&queue.finished()), numbers(0..bad), "earlier successes stay finished");
            assert_eq!(titles(&queue.pending()), numbers(bad..count), "the failing job keeps its position");

            let pending = queue.pending();
            assert_eq!(pending[0].failure(), Some(&failure), "the failure is recorded");
            assert_eq!((pending[0].executed, &pending[0].value), (None, &None));
            assert!(pending[1..].iter().all(|job| job.attempts == 0 && job.failure().is_none()));

            assert_eq!(queue.process(), Err(failure), "it is attempted again by the next call, and first");
            assert_eq!(called(&calls)[bad + 1..], [bad]);
        }
    }
}

#[test]
fn continue_attempts_every_job_and_returns_all_failures() {
    for count in 0..=8 {
        for bad in 0..1_usize << count {
            let fails = |number: usize| bad & (1 << number) != 0;
            let (queue, calls) = queue(count, fails);
            let processed = queue.process_with(CONTINUE);
            assert_eq!(called(&calls), numbers(0..count));
            assert_eq!(processed.succeeded, (0..count).filter(|&number| !fails(number)).count());
            assert_eq!(queue.pending(), []);
            let finished = queue.finished();
            assert_eq!(titles(&finished), numbers(0..count));
            let failed: Vec<_> = finished.iter().filter_map(|job| Some((job.id, job.failure()?.clone()))).collect();
            assert_eq!(processed.failures, failed);
            assert_eq!(failed.len(), usize::try_from(bad.count_ones()).unwrap());
            assert_eq!(queue.read(|queue, _| queue.failed), failed.len());
        }
    }
}

#[test]
fn the_same_callable_twice_is_two_jobs() {
    let (queue, calls) = queue(0, |_| false);
    let twice = job(7, false, &calls);
    let first = queue.append(twice.clone());
    let second = queue.append(twice);
    assert_ne!(first, second);
    assert_eq!(queue.process(), Ok(2));
    assert_eq!(called(&calls), [7, 7]);
    assert_eq!(queue.finished().iter().map(|job| job.id).collect::<Vec<_>>(), [first, second]);
}

#[test]
fn a_job_appended_during_processing_waits_for_the_next_call() {
    let (queue, calls) = queue(1, |_| false);
    let busy = {
        let (queue, calls) = (queue.clone(), Arc::clone(&calls));
        move || _ = queue.append(job(9, false, &calls))
    };
    queue.append(Job::new(busy).with_title("1"));
    assert_eq!(queue.process(), Ok(2));
    assert_eq!(called(&calls), [0]);
    assert_eq!(titles(&queue.pending()), [9]);
    assert_eq!(queue.process(), Ok(1));
    assert_eq!(called(&calls), [0, 9]);
}

#[test]
fn a_job_that_appends_itself_runs_once_per_call() {
    fn self_appending(queue: &Queue) -> Job {
        let queue = queue.clone();
        Job::new(move || _ = queue.append(self_appending(&queue)))
    }

    let queue = Queue::new();
    queue.append(self_appending(&queue));
    for _ in 0..3 {
        assert_eq!(queue.process(), Ok(1));
        assert_eq!(queue.pending().len(), 1);
    }
}

#[test]
fn a_job_may_clear_its_own_queue() {
    for at in 0..5 {
        let (queue, calls) = queue(at, |_| false);
        let emptying = queue.clone();
        queue.append(Job::new(move || emptying.clear_pending() + emptying.clear_finished()).with_title(at.to_string()));
        for number in at + 1..5 {
            queue.append(job(number, false, &calls));
        }
        assert_eq!(queue.process(), Ok(at + 1), "removed jobs are skipped");
        assert_eq!(called(&calls), numbers(0..at));
        assert_eq!(queue.pending(), []);
        assert_eq!(titles(&queue.finished()), [at], "the running job stays");
        assert_eq!(queue.finished()[0].value.as_deref(), Some(&4.into()), "the number of jobs it removed");
    }
}

#[test]
fn a_job_may_process_its_own_queue() {
    for at in 0..5 {
        let (queue, calls) = queue(at, |_| false);
        let own = queue.clone();
        queue.append(Job::new(move || own.process()).with_title(at.to_string()));
        for number in at + 1..5 {
            queue.append(job(number, false, &calls));
        }
        assert_eq!(queue.process(), Ok(at + 1), "the outer call skips jobs that the inner call ran");
        assert_eq!(called(&calls).into_iter().collect::<BTreeSet<_>>().len(), 4, "every job is called");
        assert_eq!(called(&calls).len(), 4, "and only once");
        assert_eq!(queue.pending(), []);
        assert_eq!(queue.finished().len(), 5);
        assert_eq!(queue.finished().last().unwrap().value.as_deref(), Some(&(4 - at).into()));
    }
}

#[test]
fn a_failure_of_a_nested_process_call_fails_the_calling_job() {
    let (queue, calls) = queue(0, |_| false);
    let own = queue.clone();
    queue.append(Job::new(move || own.process()).with_title("0"));
    queue.append(job(1, true, &calls));
    queue.append(job(2, false, &calls));
    assert_eq!(queue.process().unwrap_err().to_string(), "job 1 is broken");
    assert_eq!(called(&calls), [1]);
    assert_eq!(titles(&queue.pending()), [0, 1, 2], "all keep their positions");
    assert!(queue.read(|queue, _| queue.running.is_empty()));
}

#[test]
fn a_panic_is_a_failure_and_leaves_the_queue_usable() {
    fn broken() {
        panic!("no {}", "paper");
    }

    let (queue, calls) = queue(1, |_| false);
    queue.append(Job::new(broken).with_title("1"));
    queue.append(job(2, false, &calls));
    assert_eq!(queue.process().unwrap_err().to_string(), "panicked: no paper");
    assert_eq!(titles(&queue.pending()), [1, 2]);
    assert!(queue.read(|queue, site_state| queue.running.is_empty() && site_state.workers().next().is_none()));

    let processed = queue.process_with(CONTINUE);
    assert_eq!((processed.succeeded, processed.failures.len()), (1, 1));
    assert_eq!(titles(&queue.finished()), [0, 1, 2]);

    let mut alone = Job::new(broken);
    assert_eq!(alone.call().unwrap_err().to_string(), "panicked: no paper");
    assert_eq!(alone.current_run(), None);
}

#[test]
fn a_failed_call_keeps_the_previous_value_and_execution_time() {
    let works = Arc::new(Mutex::new(true));
    let call = {
        let works = Arc::clone(&works);
        move || if *works.lock().unwrap() { Ok("fine") } else { Err("out of order") }
    };
    let mut job = Job::new(call);
    assert_eq!(job.call(), Ok(Some("fine".into())));
    let executed = job.executed;
    assert_eq!(job.outcome(), Some(&Outcome::Succeeded));

    *works.lock().unwrap() = false;
    assert_eq!(job.call(), Err(Failure::error("out of order")));
    assert_eq!((job.executed, job.value.as_deref()), (executed, Some(&"fine".into())));
    assert_eq!(job.failure(), Some(&Failure::error("out of order")));
    assert_eq!(job.attempts, 2);

    let queue = Queue::new();
    queue.append(job);
    let pending = &queue.pending()[0];
    assert_eq!(
        (pending.executed, pending.value.as_deref()),
        (executed, Some(&"fine".into())),
        "appending keeps its history"
    );

    *works.lock().unwrap() = true;
    assert_eq!(queue.process(), Ok(1));
    assert_eq!(queue.finished()[0].failure(), None);
    assert!(queue.finished()[0].executed >= executed);
}

#[test]
fn appending_a_finished_job_makes_it_pending() {
    let mut job = Job::new(|| 1);
    job.call().unwrap();
    let queue = Queue::new();
    queue.append(job);
    assert_eq!(queue.pending().len(), 1);
    assert_eq!(queue.process(), Ok(1));
}

#[test]
fn no_value_and_an_empty_value_differ() {
    assert_eq!(Job::new(|| None::<String>).call(), Ok(None));
    assert_eq!(Job::new(|| "").call(), Ok(Some("".into())));
    assert_eq!(Job::new(|| ()).call(), Ok(Some(Value::Null)));
}

#[test]
fn arguments_are_passed_by_position_and_by_name() {
    let sum = |arguments: &Arguments| {
        let args: i64 = arguments.args.iter().filter_map(Value::as_i64).sum();
        args * arguments.kwargs["times"].as_i64().unwrap_or(1)
    };
    let queue = Queue::new();
    queue.append(Job::new(sum).arg(1).arg(2).kwarg("times", 5));
    assert_eq!(queue.process(), Ok(1));
    assert_eq!(queue.finished()[0].value.as_deref(), Some(&15.into()));
}

#[test]
fn a_script_is_a_callable() {
    let queue = Queue::new();
    queue.append(Job::new(Script::shell("printf '%s ' \"$@\"")).with_title("Print").arg("a b").kwarg("times", 2));
    queue.append(Script::shell("exit 3"));
    queue.append(Script::command(["true"]));
    let failure = queue.process().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Exit);
    let finished = &queue.finished()[0];
    assert_eq!((finished.title(), finished.value.as_deref()), ("Print", Some(&"a b --times 2".into())));
    let failed = &queue.pending()[0];
    let end = failed.last_run.as_ref().and_then(|run| run.end.as_ref());
    assert_eq!(end.and_then(|end| end.exit), Some(Exit::Code(3)));
    assert_eq!(queue.pending().len(), 2);

    let mut missing = Job::new(Script::command(["/there/is/no/such/program"]));
    assert_eq!(missing.call().unwrap_err().kind, FailureKind::NotStarted);
}

#[test]
fn the_order_is_a_policy() {
    let (queue, calls) = queue(5, |number| number == 3);
    let backwards =
        ProcessPolicy { order: StartOrder::By(|a, b| b.position.cmp(&a.position)), ..ProcessPolicy::default() };
    let processed = queue.process_with(backwards);
    assert_eq!(processed.into_result().unwrap_err().to_string(), "job 3 is broken");
    assert_eq!(called(&calls), [4, 3]);
    assert_eq!(titles(&queue.pending()), [0, 1, 2, 3], "the order of the queue is unchanged");

    let all_equal = ProcessPolicy { order: StartOrder::By(|_, _| std::cmp::Ordering::Equal), ..CONTINUE };
    assert_eq!(queue.process_with(all_equal).succeeded, 3);
    assert_eq!(called(&calls)[2..], [0, 1, 2, 3], "equal jobs keep the order of the queue");
}

#[test]
fn no_more_jobs_run_in_parallel_than_allowed() {
    const MAX_PARALLEL: usize = 3;
    let queue = Queue::new();
    // The first jobs return only when as many as allowed have been called.
    let called = Arc::new((Mutex::new(0), Condvar::new()));
    for _ in 0..2 * MAX_PARALLEL {
        let (called, watched) = (Arc::clone(&called), queue.clone());
        queue.append(move || {
            let (count, changed) = &*called;
            let mut count = count.lock().unwrap();
            *count += 1;
            changed.notify_all();
            let (_count, waited) =
                changed.wait_timeout_while(count, WAIT_TIMEOUT, |count| *count < MAX_PARALLEL).unwrap();
            if waited.timed_out() { Err("the others were not called") } else { Ok(watched.running().len()) }
        });
    }
    let processed = queue.process_with(ProcessPolicy { parallel: MAX_PARALLEL, ..CONTINUE });
    assert_eq!(processed.succeeded, 2 * MAX_PARALLEL);
    let most = queue.finished().iter().filter_map(|job| job.value.as_ref()?.as_u64()).max();
    assert!(most <= Some(MAX_PARALLEL as u64), "{most:?} ran at once");
}

#[test]
fn after_a_failure_parallel_processing_starts_no_more_jobs_but_counts_running_ones() {
    let queue = Queue::new();
    let (failed, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let watched = queue.clone();
    // This job ends after the other one has failed.
    queue.append(move || {
        wait.lock().unwrap().recv_timeout(WAIT_TIMEOUT).unwrap();
        while watched.running().len() > 1 {
            thread::yield_now();
        }
    });
    queue.append(move || {
        failed.send(()).unwrap();
        Err::<(), _>("broken")
    });
    queue.append(|| ());
    let processed = queue.process_with(ProcessPolicy { parallel: 2, ..ProcessPolicy::default() });
    assert_eq!(processed.succeeded, 1);
    assert_eq!(processed.failures.len(), 1);
    assert_eq!(queue.pending().len(), 2, "the failed one and the one after it");
}

#[test]
fn threads_that_process_the_same_queue_share_its_jobs() {
    let (queue, calls) = queue(200, |_| false);
    let succeeded: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| queue.process().unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(succeeded, 200);
    let mut called = called(&calls);
    called.sort_unstable();
    assert_eq!(called, numbers(0..200), "each is called once");
}

#[test]
fn any_string_is_a_queue_id() {
    for name in ["", ".", "a.b.c", "Straße/夜 🌒", " ", "\n\0", &"long".repeat(10_000)] {
        let queue = get_queue(name);
        assert_eq!(queue.id().as_str(), name);
        assert_eq!(get_queue(name.to_owned()), queue);
    }
    assert_ne!(get_queue("a.b"), get_queue("a.B"));
    assert_ne!(get_queue("é"), get_queue("e\u{301}"), "ids are not normalized");
}

#[test]
fn the_nearest_site_with_the_queue_owns_it() {
    let user = Site::new();
    let project = user.nested("project");
    let part = project.nested("part");

    let letters = user.get_queue("letters");
    assert_eq!(part.get_queue("letters"), letters, "parents are searched");
    assert_eq!(part.get_queue("letters").site(), &user, "and the queue knows its owner");

    let build = part.get_queue("build");
    assert_eq!(build.site(), &part, "a new queue is created in the nearest site");
    assert_eq!(build.site().name(), "part");
    assert_ne!(project.get_queue("build"), build, "and is not visible in its parents");

    assert_eq!(part.get_queue("build"), build, "the nearest wins");
    assert_eq!(project.nested("other").get_queue("build").site(), &project);
    assert_eq!(part.parent(), Some(&project));
    assert_eq!(user.parent(), None);
}

#[test]
fn a_queue_handle_stays_valid_when_another_site_creates_the_same_queue() {
    let outer = Site::new();
    let found = outer.nested("inner").get_queue("q");
    let inner = found.site().clone();
    let outer_queue = outer.get_queue("q");
    assert_ne!(found, outer_queue);
    assert_eq!(inner.get_queue("q"), found);
}

#[test]
fn threads_can_get_and_append_to_queues_concurrently() {
    let site = Site::new().nested("inner");
    let start = Barrier::new(8);
    let ids: Vec<Vec<JobId>> = thread::scope(|scope| {
        let append = |_| {
            scope.spawn(|| {
                start.wait();
                (0..100).map(|nth| site.get_queue(format!("queue {}", nth % 5)).append(|| ())).collect()
            })
        };
        let threads: Vec<_> = (0..8).map(append).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(site.read(|site| site.queues().len()), 5);
    for nth in 0..5 {
        let pending = site.get_queue(format!("queue {nth}")).pending();
        assert_eq!(pending.len(), 8 * 20);
        assert!(pending.is_sorted_by_key(|job| job.id), "in append order");
    }
    assert!(ids.iter().all(|ids| ids.is_sorted()));
    let numbers: BTreeSet<_> = ids.into_iter().flatten().collect();
    assert_eq!(numbers, (1..=800).map(JobId).collect(), "ids have no repeats and no gaps");
}

#[test]
fn a_job_is_retried_only_as_long_as_it_has_failed() {
    let (queue, _) = queue(2, |number| number == 0);
    assert_eq!(queue.process_with(CONTINUE).succeeded, 1);
    let [succeeded, failed] = [1, 0]
        .map(|number: usize| queue.finished().into_iter().find(|job| job.title() == number.to_string()).unwrap().id);
    let retry = |job| queue.submit(&Command::RunFailed { job, force: false }, Utc::now());
    assert!(matches!(
        retry(succeeded),
        Err(Refusal::WrongState { phase: Phase::Finished, hint: "it has not failed", .. })
    ));
    assert!(matches!(retry(failed).unwrap()[0], Event::Requeued { requested: true, .. }));
    // A second command that has seen the failure as well.
    assert!(matches!(retry(failed), Err(Refusal::WrongState { phase: Phase::Pending, .. })));
}

#[test]
fn a_job_that_was_read_before_its_runs_has_the_runs_of_then() {
    let (queue, _) = queue(1, |_| true);
    let snapshot = || queue.finished().pop().unwrap();
    assert_eq!(queue.process_with(CONTINUE).succeeded, 0);
    let once = snapshot();
    let first = once.last_run_with_value().unwrap();
    queue.submit(&Command::RunFailed { job: once.id, force: false }, Utc::now()).unwrap();
    assert_eq!(queue.process_with(CONTINUE).succeeded, 0);
    let twice = snapshot();
    let second = twice.last_run_with_value().unwrap();
    assert_eq!((first.attempt, second.attempt), (1, 2));
    let later = vec![first.clone(), second.clone()];
    assert_eq!(once.runs_of_record(later.clone()), std::slice::from_ref(&first));
    assert_eq!(twice.runs_of_record(later), [first.clone(), second]);
    let mut running = first.clone();
    running.end = None;
    let earlier = Job { last_run: Some(Box::new(running.clone())), ..once };
    assert_eq!(earlier.runs_of_record(vec![first]), [running]);
}
