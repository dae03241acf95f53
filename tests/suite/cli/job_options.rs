//! `setlist add` with the options of its jobs.

use chrono::{DateTime, Utc};

use super::*;

fn add(site: &TempSite, args: &[&str], command: &[&str]) -> String {
    site.ok(&[&["add", "r"], args, &["--"], command].concat()).trim().to_owned()
}

#[test]
fn how_long_a_job_has_waited_is_counted_until_it_starts() {
    let site = TempSite::with("queues:\n  q:\n    - {id: a, run: sleep 0.02, after: 50ms}\n");
    site.ok(&["process"]);
    let job = site.job("q/a");
    assert!(job["wait_ms"].as_u64().unwrap() >= 50 && job["run_ms"].as_u64().unwrap() >= 20, "{job}");
}

#[test]
fn an_added_job_needs_others() {
    let site = TempSite::with("queues: {q: [{id: first, run: 'true'}, {id: bad, run: 'false'}]}\n");
    let named = add(&site, &["--needs", "q/first"], &["true"]);
    let numbered = add(&site, &["--needs", &named, "--needs", "q/bad:finish"], &["true"]);
    let failure = add(&site, &["--needs", "q/bad:failure"], &["true"]);
    let near = site.ok(&["add", "q", "--needs", "first:success", "--", "true"]).trim().to_owned();
    assert_eq!(site.job(&numbered)["needs"], json!([named, "q/bad"]));
    assert_eq!(site.job(&near)["needs"], json!(["q/first"]), "a name alone is of the same queue");
    assert_eq!(site.job(&named)["waiting"], json!("needs"));

    assert_eq!(site.run(&["process"]).code, Some(1));
    for job in [&named, &numbered, &failure, &near] {
        assert_eq!(site.job(job)["outcome"], json!("succeeded"), "{job}");
    }
    let lost = add(&site, &["--needs", "q/bad"], &["true"]);
    site.run(&["process"]);
    assert_eq!(site.job(&lost)["outcome"], json!("skipped"));

    for (wrong, why) in [
        (&["--needs", "q/frist"][..], "did you mean \"q/first\"?"),
        (&["--needs", "99"], "there is no job #99"),
        (&["--needs", "first"], "there is no job \"r/first\""),
        (&["--needs", "q/first", "--needs", "q/first:finish"], "q/first is needed twice"),
    ] {
        let output = site.run(&[&["add", "r"], wrong, &["--", "true"]].concat());
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(output.stderr.contains(why), "{wrong:?}: {output:?}");
    }
}

#[test]
fn an_added_job_is_tried_again() {
    let site = TempSite::with("queues: {}\n");
    let job = add(&site, &["--retry", "2", "--retry-delay", "1ms"], &["sh", "-c", "test $SETLIST_ATTEMPT = 3"]);
    assert_eq!(site.job(&job)["max_attempts"], json!(3));
    site.ok(&["process"]);
    let job = site.job(&job);
    assert_eq!((&job["outcome"], &job["run_count"]), (&json!("succeeded"), &json!(3)));
}

#[test]
fn an_added_job_waits_for_its_time_and_for_confirmation() {
    let site = TempSite::with("queues: {}\n");
    let at = add(&site, &["--after", "2199-01-01 18:00"], &["true"]);
    assert_eq!(site.job(&at)["not_before"], json!("2199-01-01T18:00:00.000Z"), "its zone is UTC here");
    let soon = site.job(&add(&site, &["--after", "1h"], &["true"]));
    let until = |field: &str| soon[field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!((until("not_before") - until("enqueued_at")).num_seconds(), 3600);
    let asks = add(&site, &["--confirm", "Really?"], &["true"]);
    assert_eq!(site.job(&asks)["waiting"], json!("confirm"));
    assert_eq!(site.job(&add(&site, &["--priority", "-2"], &["true"]))["priority"], json!(-2));
    assert_eq!(site.job(&add(&site, &["--priority=7", "--weight", "3"], &["true"]))["priority"], json!(7));
}

#[test]
fn an_added_job_reads_env_files_relative_to_the_working_directory() {
    let site = TempSite::with("queues: {}\n");
    fs::create_dir(site.join("below")).unwrap();
    site.write("below/.env", "A=file\nB=file\n");
    let mut command = site.command(&["add", "r", "--env-file", ".env", "--env", "B=own", "--script", "echo $A $B"]);
    assert!(command.current_dir(site.join("below")).stdout(Stdio::null()).status().unwrap().success());
    assert!(site.ok(&["process"]).contains("file own"));
}

#[test]
fn invalid_options_of_added_jobs_are_refused() {
    let site = TempSite::with("queues: {}\n");
    for (wrong, why) in [
        (&["--after", "tomorrow"][..], "invalid duration or date `tomorrow`; expected `10m`, `2026-11-22 18:00`"),
        (&["--after", "1M"], "ambiguous unit `M`: write `min` or `months`"),
        (&["--timeout", "1M"], "ambiguous unit `M`: write `min` or `months`"),
        (&["--weight", "0"], "0 is not in 1.."),
        (&["--priority", "high"], "invalid digit"),
        (&["--retry-delay", "1s"], "--retry <N>"),
        (&["--retry", "1", "--retry-delay", "soon"], "invalid duration `soon`"),
        (&["--log-limit", "1kB"], "a log limit must be at least 4096 bytes"),
        (&["--log-limit", "lots"], "invalid size `lots`"),
        (&["--confirm", " "], "the question is empty"),
    ] {
        let output = site.run(&[&["add", "r"], wrong, &["--", "true"]].concat());
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(output.stderr.contains(why), "{wrong:?}: {output:?}");
    }
    assert_eq!(site.ok(&["list"]), "");
}

#[test]
fn an_added_job_can_need_all_jobs_of_an_entry() {
    let site =
        TempSite::with("queues:\n  encode: {jobs: [{id: enc, for_each: [a, b, c], run: 'true'}]}\n  other: []\n");
    for (queue, needs) in [("encode", "encode/enc"), ("encode", "enc"), ("other", "encode/enc:finish")] {
        let id = site.ok(&["add", queue, "--needs", needs, "true"]);
        let job = site.job(id.trim());
        assert_eq!(job["needs"].as_array().map(Vec::len), Some(3), "{queue} {needs}: {job}");
    }
}
