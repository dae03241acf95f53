//! `setlist add` with the terms on which its jobs run.

use chrono::{DateTime, Utc};

use super::*;

fn add(room: &Room, args: &[&str], command: &[&str]) -> String {
    room.ok(&[&["add", "r"], args, &["--"], command].concat()).trim().to_owned()
}

#[test]
fn how_long_a_job_has_waited_is_counted_until_it_starts() {
    let room = Room::with("queues:\n  q:\n    - {id: a, run: sleep 0.02, after: 50ms}\n");
    room.ok(&["process"]);
    let job = room.job("q/a");
    assert!(job["wait_ms"].as_u64().unwrap() >= 50 && job["run_ms"].as_u64().unwrap() >= 20, "{job}");
}

#[test]
fn an_added_job_needs_others() {
    let room = Room::with("queues: {q: [{id: first, run: 'true'}, {id: bad, run: 'false'}]}\n");
    let named = add(&room, &["--needs", "q/first"], &["true"]);
    let numbered = add(&room, &["--needs", &named, "--needs", "q/bad:finish"], &["true"]);
    let failure = add(&room, &["--needs", "q/bad:failure"], &["true"]);
    let near = room.ok(&["add", "q", "--needs", "first:success", "--", "true"]).trim().to_owned();
    assert_eq!(room.job(&numbered)["needs"], json!([named, "q/bad"]));
    assert_eq!(room.job(&near)["needs"], json!(["q/first"]), "a name alone is of the same queue");
    assert_eq!(room.job(&named)["waiting"], json!("needs"));

    assert_eq!(room.run(&["process"]).code, Some(1));
    for job in [&named, &numbered, &failure, &near] {
        assert_eq!(room.job(job)["outcome"], json!("succeeded"), "{job}");
    }
    let lost = add(&room, &["--needs", "q/bad"], &["true"]);
    room.run(&["process"]);
    assert_eq!(room.job(&lost)["outcome"], json!("skipped"));

    for (wrong, why) in [
        (&["--needs", "q/frist"][..], "did you mean \"q/first\"?"),
        (&["--needs", "99"], "there is no job #99"),
        (&["--needs", "first"], "there is no job \"r/first\""),
        (&["--needs", "q/first", "--needs", "q/first:finish"], "q/first is needed twice"),
    ] {
        let said = room.run(&[&["add", "r"], wrong, &["--", "true"]].concat());
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(said.err.contains(why), "{wrong:?}: {said:?}");
    }
}

#[test]
fn an_added_job_is_tried_again() {
    let room = Room::with("queues: {}\n");
    let job = add(&room, &["--retry", "2", "--retry-delay", "1ms"], &["sh", "-c", "test $SETLIST_ATTEMPT = 3"]);
    assert_eq!(room.job(&job)["max_attempts"], json!(3));
    room.ok(&["process"]);
    let job = room.job(&job);
    assert_eq!((&job["outcome"], &job["run_count"]), (&json!("succeeded"), &json!(3)));
}

#[test]
fn an_added_job_waits_for_its_time_and_for_a_person() {
    let room = Room::with("queues: {}\n");
    let at = add(&room, &["--after", "2199-01-01 18:00"], &["true"]);
    assert_eq!(room.job(&at)["not_before"], json!("2199-01-01T18:00:00.000Z"), "its zone is UTC here");
    let soon = room.job(&add(&room, &["--after", "1h"], &["true"]));
    let until = |field: &str| soon[field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!((until("not_before") - until("enqueued_at")).num_seconds(), 3600);
    let asks = add(&room, &["--confirm", "Really?"], &["true"]);
    assert_eq!(room.job(&asks)["waiting"], json!("confirm"));
    assert_eq!(room.job(&add(&room, &["--priority", "-2"], &["true"]))["priority"], json!(-2));
    assert_eq!(room.job(&add(&room, &["--priority=7", "--weight", "3"], &["true"]))["priority"], json!(7));
}

#[test]
fn an_added_job_reads_files_of_variables_where_it_was_typed() {
    let room = Room::with("queues: {}\n");
    fs::create_dir(room.join("below")).unwrap();
    room.write("below/.env", "A=file\nB=file\n");
    let mut command = room.command(&["add", "r", "--env-file", ".env", "--env", "B=own", "--script", "echo $A $B"]);
    assert!(command.current_dir(room.join("below")).stdout(Stdio::null()).status().unwrap().success());
    assert!(room.ok(&["process"]).contains("file own"));
}

#[test]
fn terms_that_mean_nothing_are_refused() {
    let room = Room::with("queues: {}\n");
    for (wrong, why) in [
        (&["--after", "tomorrow"][..], "`tomorrow` is neither a duration nor a date"),
        (&["--weight", "0"], "0 is not in 1.."),
        (&["--priority", "high"], "invalid digit"),
        (&["--retry-delay", "1s"], "--retry <N>"),
        (&["--retry", "1", "--retry-delay", "soon"], "`soon` is no duration"),
        (&["--log-limit", "1kB"], "a run keeps at least 4096 bytes of its output"),
        (&["--log-limit", "lots"], "`lots` is no size"),
        (&["--confirm", " "], "the question is empty"),
    ] {
        let said = room.run(&[&["add", "r"], wrong, &["--", "true"]].concat());
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(said.err.contains(why), "{wrong:?}: {said:?}");
    }
    assert_eq!(room.ok(&["list"]), "");
}
