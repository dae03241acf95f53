//! The query language of filters: matches, errors, and that any input either parses or returns an error.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use proptest::prelude::*;
use setlist::model::{
    Command, Definition, Exit, Failure, FailureKind, JobId, JobState, Outcome, Query, Run, RunEnd, RunId, Script, Site,
    UnknownName, WorkerId,
};
use setlist::{Event, Job};

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap()
}

/// A finished job, by title, tags, outcome, exit code, minutes since its end, and duration in seconds.
fn finished(title: &str, tags: &[&str], outcome: Outcome, code: i32, ago: i64, took: i64) -> Job {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let mut job = pending(title);
    std::sync::Arc::make_mut(&mut job.definition).tags = tags;
    let at = now() - TimeDelta::minutes(ago);
    let end =
        RunEnd { at, outcome: outcome.clone(), exit: Some(Exit::Code(code)), cause: None, usage: None, value: None };
    let started = at - TimeDelta::seconds(took);
    job.last_run = Some(
        Run {
            id: RunId(1),
            attempt: 1,
            worker: WorkerId(1),
            started,
            stalled: None,
            end: Some(end),
            approval: None,
            inputs: None,
        }
        .into(),
    );
    job.attempts = 1;
    job.state = JobState::Finished { outcome, at };
    job
}

fn pending(title: &str) -> Job {
    let site = Site::new();
    let definition = Definition { title: title.into(), ..Definition::new(Script::shell("./run.sh")) };
    let added = site.submit(&Command::Add { queue: "build".into(), jobs: vec![definition.into()] }, now()).unwrap();
    added.into_iter().find_map(|event| if let Event::Added { job } = event { Some(*job) } else { None }).unwrap()
}

fn jobs() -> Vec<Job> {
    let wrong = Outcome::Failed(Failure { kind: FailureKind::Exit, message: "exit code 3".to_owned() }.into());
    let mut jobs = vec![
        finished("Unit tests", &["nightly", "slow one"], Outcome::Succeeded, 0, 30, 90),
        finished("Lint", &["fast"], wrong, 3, 10, 2),
        finished("Tests of units", &["nightly-2"], Outcome::Interrupted, 0, 300, 600),
        pending("Lint all: again"),
    ];
    for (nth, job) in (1..).zip(&mut jobs) {
        job.id = JobId(nth);
    }
    jobs[2].queue = "deploy".into();
    jobs
}

/// The ids of the jobs that match a query.
#[track_caller]
fn matching(text: &str) -> Vec<u64> {
    let query = Query::parse(text, now()).unwrap_or_else(|error| panic!("{text}: {error}"));
    jobs().iter().filter(|job| query.matches(job)).map(|job| job.id.0).collect()
}

#[track_caller]
fn parse_error(text: &str) -> String {
    Query::parse(text, now()).unwrap_err().to_string()
}

#[test]
fn words_match_in_any_order_and_upper_case_makes_them_case_sensitive() {
    for (text, numbers) in [
        ("", &[1, 2, 3, 4][..]),
        ("test", &[1, 3]),
        ("units tests", &[3]),
        ("\"Unit tests\"", &[1]),
        ("TESTS", &[]),
        ("Tests", &[3]),
        ("nightly", &[1, 3]),
        ("!test", &[2, 4]),
        ("#2", &[2]),
        ("all:", &[4]),
        ("\"all: ag", &[4]),
        ("!", &[]),
    ] {
        assert_eq!(matching(text), numbers, "{text}");
    }
}

#[test]
fn fields_restrict_the_matches() {
    for (text, numbers) in [
        ("state:failed", &[2][..]),
        ("state:failed,interrupted", &[2, 3]),
        ("state:f", &[1, 2, 3]),
        ("state:PEND", &[4]),
        ("!state:finished", &[4]),
        ("tag:nightly", &[1]),
        ("tag:nightly*", &[1, 3]),
        ("tag:\"slow one\"", &[1]),
        ("tag:Fast,nightly", &[1, 2]),
        ("queue:deploy", &[3]),
        ("since:1h", &[1, 2, 4]),
        ("since:15m", &[2, 4]),
        ("before:1h", &[3]),
        ("took:>1m", &[1, 3]),
        ("took:90s", &[1, 3]),
        ("took:<1m", &[2]),
        ("exit:3,4", &[2]),
        ("state:finished tag:nightly* since:1h test", &[1]),
    ] {
        assert_eq!(matching(text), numbers, "{text}");
    }
}

#[test]
fn an_error_names_the_expected_values() {
    let states = "pending, running, finished, succeeded, failed, cancelled, interrupted, skipped";
    assert_eq!(parse_error("state:"), format!("state: expected one of {states}"));
    assert_eq!(parse_error("state:broken"), format!("state: expected one of {states}, not `broken`"));
    assert_eq!(parse_error("stat:failed"), "unknown field `stat:`; did you mean `state:`?");
    assert_eq!(
        parse_error("bogus:1"),
        "unknown field `bogus:`; fields are state, tag, queue, since, before, took, exit, value; put text with a colon in quotes"
    );
    assert_eq!(parse_error("since:soon"), "since: expected a duration such as 30m, 8h or 2d, not `soon`");
    assert_eq!(parse_error("since:1M"), "since: ambiguous unit `M`: write `min` or `months`");
    assert_eq!(parse_error("took:>"), "took: expected a duration such as >1m or <10s, not ``");
    assert_eq!(parse_error("exit:x"), "exit: expected an exit code such as 1, not `x`");
    assert_eq!(parse_error("tag:"), "tag: expected a tag, or a prefix followed by *");
}

#[test]
fn an_incomplete_query_uses_its_valid_terms() {
    let (query, error) = Query::parse_partial("test state: !state:pen since:x", now());
    assert_eq!(jobs().iter().filter(|job| query.matches(job)).count(), 2);
    assert!(error.unwrap().to_string().starts_with("state: expected one of pending, "), "the first error");
    assert_eq!(Query::parse_partial("test", now()), (Query::parse("test", now()).unwrap(), None));
}

#[test]
fn a_word_that_only_resembles_a_field_is_text() {
    for text in ["https://example.org", "12:30", "\"state:none\"", "\"bogus:1\"", "note:", "x:y", ":"] {
        assert_eq!(matching(text).len(), usize::from(text == ":"), "{text}");
    }
}

fn texts() -> impl Strategy<Value = String> {
    let pieces = vec![
        "state:",
        "tag:",
        "since:",
        "took:",
        "exit:",
        "failed",
        "nightly",
        "1h",
        "30m",
        "test",
        "Test",
        "unit",
        "\"",
        "!",
        " ",
        " ",
        ",",
        ":",
        "*",
        "<",
        "3",
        "é",
        "state:failed ",
        "before:",
    ];
    prop_oneof![
        3 => proptest::collection::vec(proptest::sample::select(pieces), 0..8).prop_map(|pieces| pieces.concat()),
        1 => ".{0,12}",
    ]
}

proptest! {
    #[test]
    fn any_text_is_a_query_or_an_error(text in texts()) {
        match Query::parse(&text, now()) {
            Ok(query) => prop_assert_eq!(query.text(), text),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn a_narrower_query_matches_no_additional_jobs(wide in texts(), more in texts(), later in 0..90_u64) {
        let later = now() + Duration::from_mins(later);
        for narrow in [format!("{wide}{more}"), format!("{wide} {more}"), more] {
            let (Ok(wide), Ok(narrow)) = (Query::parse(&wide, now()), Query::parse(&narrow, later)) else { continue };
            if narrow.narrows(&wide) {
                for job in jobs() {
                    prop_assert!(wide.matches(&job) || !narrow.matches(&job), "{narrow:?} matches {}", job.id);
                }
            }
        }
    }
}

#[test]
fn tags_and_queues_that_do_not_exist_are_found() {
    let site = Site::new();
    let tagged = Definition { tags: ["nightly".to_owned()].into(), ..Definition::new(Script::shell("true")) };
    site.submit(&Command::Add { queue: "build".into(), jobs: vec![tagged.into()] }, now()).unwrap();
    let unknown = |text: &str| {
        let query = Query::parse(text, now()).unwrap();
        site.read(|state| query.unknown_name(state, &["nightly"].into_iter()))
    };
    for text in ["", "text", "tag:nightly", "tag:NIGHT*", "queue:Build", "!tag:nope !queue:nope", "state:failed"] {
        assert_eq!(unknown(text), None, "{text}");
    }
    for text in ["tag:nope", "tag:nightly,nope", "tag:nightly tag:nope"] {
        assert_eq!(unknown(text), Some(UnknownName::Tag("nope".to_owned())), "{text}");
    }
    assert_eq!(unknown("tag:no*"), Some(UnknownName::Tag("no*".to_owned())));
    assert_eq!(unknown("queue:bulid"), Some(UnknownName::Queue("bulid".to_owned())));
}
