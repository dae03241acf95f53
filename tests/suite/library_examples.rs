//! The examples of `seed/async.txt`, each as a test of the library API.

use std::sync::{Arc, Mutex};

use chrono::Utc;
use setlist::model::{Arguments, Call, Value};
use setlist::{Job, Queue, get_queue};

/// The lines that jobs print when they are called.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<String>>>);

impl Printed {
    fn print(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Prints its arguments and returns the positional ones.
fn echo(printed: &Printed) -> impl Fn(&Arguments) -> Vec<Value> + Send + Sync + use<> {
    let printed = printed.clone();
    move |arguments| {
        printed.print(format!("args: {:?}", arguments.args));
        printed.print(format!("kwargs: {:?}", arguments.kwargs));
        arguments.args.clone()
    }
}

#[test]
fn a_new_queue_has_two_empty_lists() {
    let queue = Queue::new();
    assert_eq!(queue.pending(), []);
    assert_eq!(queue.finished(), []);
}

#[test]
fn processing_moves_an_appended_callable_to_the_finished_jobs() {
    let printed = Printed::default();
    let queue = Queue::new();
    let id = queue.append({
        let printed = printed.clone();
        move || printed.print("Job called.")
    });
    assert_eq!(queue.pending().iter().map(|job| job.id).collect::<Vec<_>>(), [id]);
    assert_eq!(queue.finished(), []);
    assert_eq!(printed.lines(), [""; 0], "nothing is called before the queue is processed");

    assert_eq!(queue.process(), Ok(1), "the number of jobs that succeeded");
    assert_eq!(printed.lines(), ["Job called."]);
    assert_eq!(queue.pending(), []);
    assert_eq!(queue.finished().iter().map(|job| job.id).collect::<Vec<_>>(), [id]);
}

#[test]
fn the_appended_function_is_the_one_called() {
    let queue = Queue::new();
    let job = Job::new(|| ());
    queue.append(job.clone());
    let Call::Function(appended) = &job.definition.call else { panic!("a closure is a function") };
    let Call::Function(pending) = &queue.pending()[0].definition.call else { panic!("a closure is a function") };
    assert!(Arc::ptr_eq(appended, pending));
}

#[test]
fn a_job_without_arguments_passes_none() {
    let printed = Printed::default();
    let mut job = Job::new(echo(&printed));
    assert_eq!(job.call(), Ok(Some(Vec::<Value>::new().into())));
    assert_eq!(printed.lines(), ["args: []", "kwargs: {}"]);
}

#[test]
fn a_job_passes_its_arguments() {
    let printed = Printed::default();
    let mut job = Job::new(echo(&printed)).arg(1).arg(2).kwarg("default", Value::Null);
    job.call().unwrap();
    assert_eq!(printed.lines(), ["args: [Number(1), Number(2)]", r#"kwargs: {"default": Null}"#]);
}

#[test]
fn a_job_records_its_value_and_execution_time() {
    let mut job = Job::new(echo(&Printed::default())).arg(1).arg(2);
    let returned = job.call().unwrap();
    assert!(job.executed.is_some_and(|executed| executed <= Utc::now()));
    assert_eq!(job.value.as_deref(), Some(&Value::from(vec![1, 2])));
    assert_eq!(job.value.as_deref(), returned.as_ref());
}

#[test]
fn a_job_that_was_not_executed_has_no_value_and_time() {
    let job = Job::new(|| 1);
    assert_eq!(job.executed, None);
    assert_eq!(job.value, None);
}

#[test]
fn a_title_is_empty_until_it_is_set() {
    assert_eq!(Job::new(|| ()).title(), "");
    assert_eq!(Job::new(|| ()).with_title("Send letters").title(), "Send letters");
}

#[test]
fn get_queue_returns_the_same_queue_for_the_same_id_and_creates_it_if_missing() {
    let queue: Queue = get_queue("my.very.special.queue");
    assert_eq!(get_queue("my.very.special.queue"), queue);
    assert_ne!(get_queue("my.not.so.special.queue"), queue);

    queue.append(|| ());
    assert_eq!(get_queue("my.very.special.queue").pending(), queue.pending());
    assert_eq!(get_queue("my.not.so.special.queue").pending(), []);
}
