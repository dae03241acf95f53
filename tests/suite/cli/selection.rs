//! Which jobs a command acts on: `queue/*`, `--tag` and `--query`.

use serde_json::{Value, json};

use crate::temp_site::TempSite;

const SITE: &str = "\
queues:
  build:
    - {id: lint, run: echo lint, tags: [quick]}
    - {id: test, run: 'echo test; exit 3', tags: [slow, nightly]}
    - {id: pack, run: echo pack, needs: [lint]}
  ship:
    - {id: pack, run: echo shipped, tags: [nightly]}
";

fn states(site: &TempSite) -> Vec<String> {
    let jobs = site.ok(&["list", "--json"]);
    let mut jobs: Vec<Value> = jobs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    jobs.sort_by_key(|job| job["id"].as_u64());
    let state = |job: &Value| job["outcome"].as_str().or(job["state"].as_str()).unwrap().to_owned();
    jobs.iter().map(state).collect()
}

#[test]
fn jobs_are_selected_by_queue_tag_and_query() {
    let site = TempSite::with(SITE);
    site.run(&["process", "build"]);
    assert_eq!(states(&site), ["succeeded", "failed", "succeeded", "pending"]);
    // Of these, only the jobs to which the command applies.
    assert_eq!(site.ok(&["cancel", "--tag", "nightly"]), "#4  ship/pack  cancelled\n");
    assert_eq!(site.ok(&["reset", "build/*"]).lines().count(), 3);
    assert_eq!(site.ok(&["cancel", "build/*", "-q", "pack"]), "#3  build/pack  cancelled\n");
    assert_eq!(site.ok(&["reset", "build", "ship", "-q", "pack"]), "#3  build/pack  pending\n#4  ship/pack  pending\n");
    assert_eq!(site.ok(&["retry", "build", "--tag", "quick,nightly"]), "");
    assert_eq!(site.ok(&["retry", "build/*", "--tag", "quick,nightly"]).lines().count(), 2);
    site.run(&["wait", "build/*", "--tag", "quick,nightly"]);
    assert_eq!(states(&site), ["succeeded", "failed", "pending", "pending"]);
    let log = site.ok(&["log", "--tag", "quick,slow"]);
    assert_eq!(log, "lint | lint\ntest | test\n");
    assert_eq!(site.ok(&["log", "build/*"]), site.ok(&["log", "build"]));
    let wait = site.run(&["wait", "--query", "state:failed"]);
    assert!(wait.code == Some(1) && wait.stdout.starts_with("build/test  failed"), "{wait:?}");
    let shown: Value = serde_json::from_str(&site.ok(&["show", "-q", "state:failed", "--json"])).unwrap();
    assert_eq!(shown["id"], json!(2));
    assert_eq!(site.ok(&["remove", "build/*", "ship/pack"]).lines().count(), 4);
    let site = TempSite::with(SITE);
    let moved = site.ok(&["move", "--tag", "quick", "--after", "build/pack"]);
    assert_eq!(moved, "#1  build/lint  after build/pack\n");
}

#[test]
fn a_filter_that_matches_nothing_is_an_error() {
    let site = TempSite::with(SITE);
    let commands = [
        &["retry"][..],
        &["cancel"],
        &["remove"],
        &["reset"],
        &["approve"],
        &["wait"],
        &["log"],
        &["show"],
        &["list"],
        &["move", "--before", "ship/pack"],
    ];
    for command in commands {
        for (filter, problem) in [
            (["--tag", "nigthly"], "no job has the tag \"nigthly\"; did you mean \"nightly\"?"),
            (["--tag", "zzz"], "no job has the tag \"zzz\"; the tags are nightly, quick, slow"),
            (["--query", "tag:nigthly"], "no job has the tag \"nigthly\"; did you mean \"nightly\"?"),
            (["--query", "queue:bulid"], "there is no queue \"bulid\"; did you mean \"build\"?"),
            (["--query", "stat:failed"], "--query: unknown field `stat:`; did you mean `state:`?"),
        ] {
            let output = site.run(&[command, &filter].concat());
            assert_eq!((output.code, &output.stdout[..]), (Some(2), ""), "{command:?} {filter:?}: {output:?}");
            assert_eq!(output.stderr, format!("setlist: {problem}\n"), "{command:?} {filter:?}");
        }
    }
    for (args, problem) in [
        (&["cancel", "-q", "state:running"][..], "no pending or running job matches --query state:running"),
        (&["cancel", "-q", "state:running", "--running"], "no running job matches --query state:running"),
        (&["reset", "--tag", "quick"], "no finished job matches --tag quick"),
        (&["approve", "--tag", "quick,slow"], "no job that needs approval matches --tag 'quick,slow'"),
        (&["show", "--tag", "nightly"], "expected one job, found 2 jobs: build/test, ship/pack"),
        (&["remove", "build/lint", "--tag", "slow"], "no pending or finished job matches --tag slow"),
        (&["wait", "ship", "--query", "two words"], "no job matches --query 'two words'"),
        (&["restore", "--tag", "quick"], "no job has the tag \"quick\"; there are no tags"),
    ] {
        let output = site.run(args);
        assert_eq!((output.code, output.stderr), (Some(2), format!("setlist: {problem}\n")), "{args:?}");
    }
    // A queue that has no such jobs is not mistyped.
    let nothing = site.run(&["reset", "build/*"]);
    assert_eq!((nothing.code, &nothing.stderr[..]), (Some(0), "setlist: there are no finished jobs in build\n"));
    assert_eq!(states(&site), ["pending"; 4]);
    for command in ["retry", "cancel", "remove", "restore", "reset", "log", "show"] {
        assert_eq!(site.run(&[command]).code, Some(2), "{command} without jobs");
    }
}

#[test]
fn a_queue_where_a_job_is_expected_gets_what_to_write() {
    let site = TempSite::with(SITE);
    for args in [&["remove", "ship"][..], &["move", "ship", "--before", "build/lint"]] {
        let output = site.run(args);
        assert_eq!(output.code, Some(2), "{args:?}");
        assert_eq!(output.stderr, "setlist: \"ship\" is a queue; write 'ship/*' for all of its jobs\n", "{args:?}");
    }
    let unknown = site.run(&["remove", "shpi/*"]);
    assert_eq!(unknown.stderr, "setlist: there is no queue \"shpi\"; did you mean \"ship\"?\n");
    // A name that could be either is not guessed.
    let both = TempSite::with("queues:\n  a: [{id: b, run: 'true'}]\n  b: [{id: c, run: 'true'}]\n");
    for command in ["cancel", "retry"] {
        let output = both.run(&[command, "b"]);
        assert_eq!(
            (output.code, &output.stderr[..]),
            (Some(2), "setlist: \"b\" is a queue and a job; write 'b/*' or a/b\n")
        );
    }
}

#[test]
fn removed_jobs_are_restored_by_name() {
    let site = TempSite::with(SITE);
    site.ok(&["remove", "build/lint", "build/test", "ship/pack"]);
    assert_eq!(site.ok(&["restore", "build/lint"]), "#1  build/lint  restored\n");
    let live = site.run(&["restore", "build/lint"]);
    assert_eq!((live.code, &live.stderr[..]), (Some(2), "setlist: build/lint was not removed\n"));
    let typo = site.run(&["restore", "build/tset"]);
    assert_eq!(typo.stderr, "setlist: there is no removed job \"build/tset\"; did you mean \"build/test\"?\n");
    assert_eq!(site.ok(&["restore", "--tag", "nightly"]).lines().count(), 2);
    assert_eq!(states(&site), ["pending"; 4]);
    site.ok(&["remove", "build/*"]);
    assert_eq!(site.ok(&["restore", "lint"]), "#1  build/lint  restored\n");
    assert_eq!(site.ok(&["restore", "build/*"]).lines().count(), 2);
    let nothing = site.run(&["restore", "build/*"]);
    assert_eq!((nothing.code, &nothing.stderr[..]), (Some(0), "setlist: no job was removed from build\n"));
    // An entry that left the file was not removed by a user.
    site.write(
        "jobs.yaml",
        &SITE.replace("    - {id: lint, run: echo lint, tags: [quick]}\n", "").replace(", needs: [lint]", ""),
    );
    let gone = site.run(&["restore", "build/lint"]);
    assert_eq!((gone.code, &gone.stderr[..]), (Some(2), "setlist: there is no removed job \"build/lint\"\n"));
    // Numbers work as before.
    site.ok(&["remove", "4"]);
    assert_eq!(site.ok(&["restore", "#4"]), "#4  ship/pack  restored\n");
}

#[test]
fn what_needs_a_cancelled_job_is_cancelled_with_it_in_any_order() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: slow, run: 'while [ ! -e go ]; do sleep 0.01; done'}\n    - {id: a, run: 'true'}\n    - {id: b, run: 'true', needs: [a]}\n    - {id: c, run: 'true', needs: [b]}\n",
    );
    site.ok(&["start", "q", "-q"]);
    site.wait_until("q/slow", |job| job["state"] == json!("running"));
    let cancelled = site.ok(&["cancel", "q/a", "q/c", "q/b"]);
    assert_eq!(cancelled, "#2  q/a  cancelled\n#4  q/c  cancelled\n#3  q/b  cancelled\n");
    site.write("go", "");
    assert_eq!(site.run(&["wait", "q"]).stdout, "q  1 succeeded, 3 cancelled\n");
}
