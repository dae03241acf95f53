//! The origin's examples, one to one, in our own API: what a queue, a job and `get_queue` do.

use std::sync::{Arc, Mutex};

use chrono::Utc;
use setlist::model::{Arguments, Call, Value};
use setlist::{Job, Queue, get_queue};

/// What jobs say when they are called.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn say(&self, words: impl Into<String>) {
        self.0.lock().unwrap().push(words.into());
    }

    fn words(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Says what it is passed, and returns the positional part of it.
fn echo(said: &Said) -> impl Fn(&Arguments) -> Vec<Value> + Send + Sync + use<> {
    let said = said.clone();
    move |passed| {
        said.say(format!("args: {:?}", passed.args));
        said.say(format!("kwargs: {:?}", passed.kwargs));
        passed.args.clone()
    }
}

#[test]
fn a_new_queue_has_two_empty_lists() {
    let queue = Queue::new();
    assert_eq!(queue.pending(), []);
    assert_eq!(queue.finished(), []);
}

#[test]
fn anything_callable_can_be_appended_and_processing_moves_it_to_the_finished_jobs() {
    let said = Said::default();
    let queue = Queue::new();
    let id = queue.append({
        let said = said.clone();
        move || said.say("Job called.")
    });
    assert_eq!(queue.pending().iter().map(|job| job.id).collect::<Vec<_>>(), [id]);
    assert_eq!(queue.finished(), []);
    assert_eq!(said.words(), [""; 0], "nothing is called before the queue is processed");

    assert_eq!(queue.process(), Ok(1), "how many jobs succeeded");
    assert_eq!(said.words(), ["Job called."]);
    assert_eq!(queue.pending(), []);
    assert_eq!(queue.finished().iter().map(|job| job.id).collect::<Vec<_>>(), [id]);
}

#[test]
fn what_was_appended_is_what_is_called() {
    let queue = Queue::new();
    let job = Job::new(|| ());
    queue.append(job.clone());
    let Call::Function(appended) = &job.definition.call else { panic!("a closure is a function") };
    let Call::Function(pending) = &queue.pending()[0].definition.call else { panic!("a closure is a function") };
    assert!(Arc::ptr_eq(appended, pending));
}

#[test]
fn a_job_without_arguments_passes_none_on() {
    let said = Said::default();
    let mut job = Job::new(echo(&said));
    assert_eq!(job.call(), Ok(Some(Vec::<Value>::new().into())));
    assert_eq!(said.words(), ["args: []", "kwargs: {}"]);
}

#[test]
fn a_job_passes_its_arguments_on() {
    let said = Said::default();
    let mut job = Job::new(echo(&said)).arg(1).arg(2).kwarg("default", Value::Null);
    job.call().unwrap();
    assert_eq!(said.words(), ["args: [Number(1), Number(2)]", r#"kwargs: {"default": Null}"#]);
}

#[test]
fn a_job_records_what_the_call_returned_and_when_it_was_executed() {
    let mut job = Job::new(echo(&Said::default())).arg(1).arg(2);
    let returned = job.call().unwrap();
    assert!(job.executed.is_some_and(|executed| executed <= Utc::now()));
    assert_eq!(job.value, Some(Value::from(vec![1, 2])));
    assert_eq!(job.value, returned);
}

#[test]
fn a_job_that_was_not_executed_has_no_time_and_no_value() {
    let job = Job::new(|| 1);
    assert_eq!(job.executed, None);
    assert_eq!(job.value, None);
}

#[test]
fn a_title_is_empty_until_it_is_set() {
    assert_eq!(Job::new(|| ()).title(), "");
    assert_eq!(Job::new(|| ()).titled("Send letters").title(), "Send letters");
}

#[test]
fn get_queue_finds_the_same_queue_by_the_same_id_and_makes_it_where_there_is_none() {
    let queue: Queue = get_queue("my.very.special.queue");
    assert_eq!(get_queue("my.very.special.queue"), queue);
    assert_ne!(get_queue("my.not.so.special.queue"), queue);

    queue.append(|| ());
    assert_eq!(get_queue("my.very.special.queue").pending(), queue.pending());
    assert_eq!(get_queue("my.not.so.special.queue").pending(), []);
}
