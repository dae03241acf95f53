//! The rules of the core model: what is attempted, in which order, what a failure leaves behind, and who owns a queue.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use setlist::model::{Arguments, Exit, Failure, FailureKind, JobId, OnFailure, Outcome, Script, Value};
use setlist::worker::{Order, Policy};
use setlist::{Job, Queue, Site, get_queue};

/// Which jobs were called, in order.
type Calls = Arc<Mutex<Vec<usize>>>;

const CONTINUE: Policy = Policy { on_failure: OnFailure::Continue, parallel: 1, order: Order::Queue };

/// How long a test waits for what will not come any more.
const PATIENCE: Duration = Duration::from_secs(20);

/// A job that notes its number and fails if it should.
fn job(number: usize, fails: bool, calls: &Calls) -> Job {
    let calls = Arc::clone(calls);
    Job::new(move || {
        calls.lock().unwrap().push(number);
        if fails { Err(format!("job {number} is broken")) } else { Ok(number) }
    })
    .titled(number.to_string())
}

/// A queue with jobs numbered from 0, of which some fail.
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
        assert_eq!(queue.process(), Ok(0), "what has finished is not attempted again");
        assert_eq!(called(&calls).len(), count);
    }
}

#[test]
fn a_failure_is_returned_and_leaves_its_job_pending_in_its_place() {
    for count in 1..=8 {
        for bad in 0..count {
            let (queue, calls) = queue(count, |number| number == bad);
            let failure = queue.process().unwrap_err();
            assert_eq!(failure.to_string(), format!("job {bad} is broken"));
            assert_eq!(called(&calls), numbers(0..bad + 1), "later jobs are untouched");
            assert_eq!(titles(&queue.finished()), numbers(0..bad), "earlier successes stay finished");
            assert_eq!(titles(&queue.pending()), numbers(bad..count), "the failing job keeps its place");

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
fn continuing_attempts_every_job_and_tells_all_failures() {
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
fn a_job_appended_meanwhile_waits_for_the_next_call() {
    let (queue, calls) = queue(1, |_| false);
    let busy = {
        let (queue, calls) = (queue.clone(), Arc::clone(&calls));
        move || _ = queue.append(job(9, false, &calls))
    };
    queue.append(Job::new(busy).titled("1"));
    assert_eq!(queue.process(), Ok(2));
    assert_eq!(called(&calls), [0]);
    assert_eq!(titles(&queue.pending()), [9]);
    assert_eq!(queue.process(), Ok(1));
    assert_eq!(called(&calls), [0, 9]);
}

#[test]
fn a_job_that_appends_itself_does_not_keep_the_call_going() {
    fn again(queue: &Queue) -> Job {
        let queue = queue.clone();
        Job::new(move || _ = queue.append(again(&queue)))
    }

    let queue = Queue::new();
    queue.append(again(&queue));
    for _ in 0..3 {
        assert_eq!(queue.process(), Ok(1));
        assert_eq!(queue.pending().len(), 1);
    }
}

#[test]
fn a_job_may_empty_its_own_queue() {
    for at in 0..5 {
        let (queue, calls) = queue(at, |_| false);
        let emptying = queue.clone();
        queue.append(Job::new(move || emptying.clear_pending() + emptying.clear_finished()).titled(at.to_string()));
        for number in at + 1..5 {
            queue.append(job(number, false, &calls));
        }
        assert_eq!(queue.process(), Ok(at + 1), "what is no longer there is passed over");
        assert_eq!(called(&calls), numbers(0..at));
        assert_eq!(queue.pending(), []);
        assert_eq!(titles(&queue.finished()), [at], "the job that runs stays");
        assert_eq!(queue.finished()[0].value, Some(4.into()), "how many jobs it took out");
    }
}

#[test]
fn a_job_may_process_its_own_queue() {
    for at in 0..5 {
        let (queue, calls) = queue(at, |_| false);
        let own = queue.clone();
        queue.append(Job::new(move || own.process()).titled(at.to_string()));
        for number in at + 1..5 {
            queue.append(job(number, false, &calls));
        }
        assert_eq!(queue.process(), Ok(at + 1), "jobs that the inner call has run are passed over by the outer one");
        assert_eq!(called(&calls).into_iter().collect::<BTreeSet<_>>().len(), 4, "each is called");
        assert_eq!(called(&calls).len(), 4, "and called once");
        assert_eq!(queue.pending(), []);
        assert_eq!(queue.finished().len(), 5);
        assert_eq!(queue.finished().last().unwrap().value, Some((4 - at).into()));
    }
}

#[test]
fn a_failure_within_a_job_that_processes_its_queue_is_the_jobs_own() {
    let (queue, calls) = queue(0, |_| false);
    let own = queue.clone();
    queue.append(Job::new(move || own.process()).titled("0"));
    queue.append(job(1, true, &calls));
    queue.append(job(2, false, &calls));
    assert_eq!(queue.process().unwrap_err().to_string(), "job 1 is broken");
    assert_eq!(called(&calls), [1]);
    assert_eq!(titles(&queue.pending()), [0, 1, 2], "all keep their places");
    assert!(queue.read(|queue, _| queue.running.is_empty()));
}

#[test]
fn a_panic_is_a_failure_and_leaves_everything_usable() {
    fn broken() {
        panic!("no {}", "paper");
    }

    let (queue, calls) = queue(1, |_| false);
    queue.append(Job::new(broken).titled("1"));
    queue.append(job(2, false, &calls));
    assert_eq!(queue.process().unwrap_err().to_string(), "panicked: no paper");
    assert_eq!(titles(&queue.pending()), [1, 2]);
    assert!(queue.read(|queue, ledger| queue.running.is_empty() && ledger.workers().next().is_none()));

    let processed = queue.process_with(CONTINUE);
    assert_eq!((processed.succeeded, processed.failures.len()), (1, 1));
    assert_eq!(titles(&queue.finished()), [0, 1, 2]);

    let mut alone = Job::new(broken);
    assert_eq!(alone.call().unwrap_err().to_string(), "panicked: no paper");
    assert_eq!(alone.running(), None);
}

#[test]
fn a_failed_call_leaves_the_last_value_and_time_as_they_were() {
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
    assert_eq!((job.executed, &job.value), (executed, &Some("fine".into())));
    assert_eq!(job.failure(), Some(&Failure::error("out of order")));
    assert_eq!(job.attempts, 2);

    let queue = Queue::new();
    queue.append(job);
    let pending = &queue.pending()[0];
    assert_eq!((pending.executed, &pending.value), (executed, &Some("fine".into())), "appending keeps its past");

    *works.lock().unwrap() = true;
    assert_eq!(queue.process(), Ok(1));
    assert_eq!(queue.finished()[0].failure(), None);
    assert!(queue.finished()[0].executed >= executed);
}

#[test]
fn a_finished_job_that_is_appended_is_pending() {
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
fn arguments_are_passed_on_by_position_and_by_name() {
    let sum = |passed: &Arguments| {
        let args: i64 = passed.args.iter().filter_map(Value::as_i64).sum();
        args * passed.kwargs["times"].as_i64().unwrap_or(1)
    };
    let queue = Queue::new();
    queue.append(Job::new(sum).arg(1).arg(2).kwarg("times", 5));
    assert_eq!(queue.process(), Ok(1));
    assert_eq!(queue.finished()[0].value, Some(15.into()));
}

#[test]
fn a_script_is_one_kind_of_callable() {
    let queue = Queue::new();
    queue.append(Job::new(Script::shell("printf '%s ' \"$@\"")).titled("Print").arg("a b").kwarg("times", 2));
    queue.append(Script::shell("exit 3"));
    queue.append(Script::command(["true"]));
    let failure = queue.process().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Exit);
    let finished = &queue.finished()[0];
    assert_eq!((finished.title(), &finished.value), ("Print", &Some("a b --times 2".into())));
    let failed = &queue.pending()[0];
    let ending = failed.last_run.as_ref().and_then(|run| run.ending.as_ref());
    assert_eq!(ending.and_then(|ending| ending.exit), Some(Exit::Code(3)));
    assert_eq!(queue.pending().len(), 2);

    let mut missing = Job::new(Script::command(["/there/is/no/such/program"]));
    assert_eq!(missing.call().unwrap_err().kind, FailureKind::NotStarted);
}

#[test]
fn the_order_is_a_policy() {
    let (queue, calls) = queue(5, |number| number == 3);
    let backwards = Policy { order: Order::By(|a, b| b.position.cmp(&a.position)), ..Policy::default() };
    let processed = queue.process_with(backwards);
    assert_eq!(processed.into_result().unwrap_err().to_string(), "job 3 is broken");
    assert_eq!(called(&calls), [4, 3]);
    assert_eq!(titles(&queue.pending()), [0, 1, 2, 3], "the queue's own order is what it was");

    let all_equal = Policy { order: Order::By(|_, _| std::cmp::Ordering::Equal), ..CONTINUE };
    assert_eq!(queue.process_with(all_equal).succeeded, 3);
    assert_eq!(called(&calls)[2..], [0, 1, 2, 3], "equal jobs stay in the order of the queue");
}

#[test]
fn parallel_jobs_run_at_once_and_no_more_of_them_than_allowed() {
    const AT_ONCE: usize = 3;
    let queue = Queue::new();
    // The first ones return only when as many as allowed have been called.
    let called = Arc::new((Mutex::new(0), Condvar::new()));
    for _ in 0..2 * AT_ONCE {
        let (called, watched) = (Arc::clone(&called), queue.clone());
        queue.append(move || {
            let (count, changed) = &*called;
            let mut count = count.lock().unwrap();
            *count += 1;
            changed.notify_all();
            let (_count, waited) = changed.wait_timeout_while(count, PATIENCE, |count| *count < AT_ONCE).unwrap();
            if waited.timed_out() { Err("the others were not called") } else { Ok(watched.running().len()) }
        });
    }
    let processed = queue.process_with(Policy { parallel: AT_ONCE, ..CONTINUE });
    assert_eq!(processed.succeeded, 2 * AT_ONCE);
    let most = queue.finished().iter().filter_map(|job| job.value.as_ref()?.as_u64()).max();
    assert!(most <= Some(AT_ONCE as u64), "{most:?} ran at once");
}

#[test]
fn in_parallel_a_failure_starts_nothing_new_and_what_runs_is_counted() {
    let queue = Queue::new();
    let (failed, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let watched = queue.clone();
    // It ends when the other has failed.
    queue.append(move || {
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        while watched.running().len() > 1 {
            thread::yield_now();
        }
    });
    queue.append(move || {
        failed.send(()).unwrap();
        Err::<(), _>("broken")
    });
    queue.append(|| ());
    let processed = queue.process_with(Policy { parallel: 2, ..Policy::default() });
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
fn any_text_names_a_queue() {
    for name in ["", ".", "a.b.c", "Straße/夜 🌒", " ", "\n\0", &"long".repeat(10_000)] {
        let queue = get_queue(name);
        assert_eq!(queue.id().as_str(), name);
        assert_eq!(get_queue(name.to_owned()), queue);
    }
    assert_ne!(get_queue("a.b"), get_queue("a.B"));
    assert_ne!(get_queue("é"), get_queue("e\u{301}"), "ids are compared as they are written");
}

#[test]
fn the_nearest_site_that_has_a_queue_owns_it() {
    let user = Site::new();
    let project = user.nested("project");
    let part = project.nested("part");

    let letters = user.get_queue("letters");
    assert_eq!(part.get_queue("letters"), letters, "parents are searched");
    assert_eq!(part.get_queue("letters").site(), &user, "and the owner can be asked for");

    let build = part.get_queue("build");
    assert_eq!(build.site(), &part, "a new one is made in the nearest");
    assert_eq!(build.site().name(), "part");
    assert_ne!(project.get_queue("build"), build, "which the sites around it don't see");

    assert_eq!(part.get_queue("build"), build, "the nearest wins");
    assert_eq!(project.nested("other").get_queue("build").site(), &project);
    assert_eq!(part.parent(), Some(&project));
    assert_eq!(user.parent(), None);
}

#[test]
fn a_queue_is_found_where_it_was_although_a_nearer_one_comes_later() {
    let outer = Site::new();
    let found = outer.nested("inner").get_queue("q");
    let inner = found.site().clone();
    let outer_queue = outer.get_queue("q");
    assert_ne!(found, outer_queue);
    assert_eq!(inner.get_queue("q"), found);
}

#[test]
fn many_threads_may_find_and_fill_queues_at_once() {
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
        assert!(pending.is_sorted_by_key(|job| job.id), "in the order in which they were appended");
    }
    assert!(ids.iter().all(|ids| ids.is_sorted()));
    let numbers: BTreeSet<_> = ids.into_iter().flatten().collect();
    assert_eq!(numbers, (1..=800).map(JobId).collect(), "no number is used twice, none is left out");
}
