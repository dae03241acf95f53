//! The files in `examples` do what their comments say, with harmless programs in place of the real ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::temp_site::{CommandOutput, SETLIST, TempSite, wait_for};

/// Appends its name and arguments to the file `calls`.
const RECORD: &str = "echo \"${0##*/} $*\" >> \"$SETLIST_SITE/calls\"";

/// A site with one of the examples and a folder `bin` that precedes all others in `PATH`.
struct ExampleSite(TempSite);

impl ExampleSite {
    fn new(example: &str) -> Self {
        let site = TempSite::empty();
        fs::create_dir(site.join("bin")).unwrap();
        site.ok(&["init", "--from", example]);
        Self(site)
    }

    /// A program that records its calls, then runs this script.
    fn program(&self, name: &str, script: &str) -> &Self {
        self.0.script(name, &format!("{RECORD}\n{script}"));
        self
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.0.command(args);
        let mut path = vec![self.0.join("bin"), Path::new(SETLIST).parent().unwrap().to_owned()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        command.env("PATH", std::env::join_paths(path).unwrap());
        command
    }

    fn run(&self, args: &[&str]) -> CommandOutput {
        CommandOutput::from_output(&self.command(args).output().unwrap())
    }

    #[track_caller]
    fn runs(&self, args: &[&str], code: i32) -> CommandOutput {
        let output = self.run(args);
        assert_eq!(output.code, Some(code), "{args:?}: {output:?}");
        output
    }

    /// The calls since the last time.
    fn calls(&self) -> Vec<String> {
        let calls = self.0.read("calls");
        self.0.write("calls", "");
        calls.lines().map(str::to_owned).collect()
    }

    fn outcome(&self, job: &str) -> Value {
        self.0.job(job)["outcome"].clone()
    }
}

#[test]
fn every_example_is_tested_here() {
    let this = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/suite/examples.rs")).unwrap();
    for file in fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap() {
        let path = file.unwrap().path();
        // Several files, which are no template.
        if path.is_dir() {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(this.contains(&format!("ExampleSite::new(\"{name}\")")), "{name}");
    }
}

#[test]
fn a_backup_is_saved_pruned_and_verified() {
    let site = ExampleSite::new("backup");
    site.program("bin/restic", "").program("bin/logger", "");
    site.runs(&["process", "backup"], 0);
    let calls = site.calls();
    let saved = ["/etc", "/home", "/srv/data"].map(|folder| format!("restic backup --quiet {folder}"));
    assert_eq!(calls[..3], saved);
    assert!(calls[3].starts_with("restic forget --keep-daily 7") && calls[3].ends_with("--prune"), "{calls:?}");
    assert_eq!(calls[4..], ["restic check --read-data-subset=1%"]);

    // A folder that fails: the others are saved, nothing is pruned, and the system log says so.
    site.program("bin/restic", "case $* in *home) echo no space left >&2; exit 1 ;; esac");
    site.runs(&["process", "backup", "--again", "--quiet"], 1);
    let calls = site.calls();
    assert_eq!(calls.iter().filter(|call| call.starts_with("restic backup")).count(), 3, "{calls:?}");
    assert!(!calls.iter().any(|call| call.contains("forget")), "{calls:?}");
    assert!(calls.contains(&"logger -t backup Save /home failed. exit code 1".to_owned()), "{calls:?}");
    assert_eq!(
        (site.outcome("backup/prune"), site.outcome("backup/save-srv-data")),
        (json!("skipped"), json!("succeeded"))
    );
    assert_eq!(site.run(&["log", "@failed"]).stdout, "no space left\n");
}

#[test]
fn a_folder_of_films_is_encoded_and_then_only_what_is_new() {
    let site = ExampleSite::new("encode");
    let ffmpeg = |fails: &str| {
        site.program(
            "bin/ffmpeg",
            &format!("for out; do :; done\ncase $out in {fails}*) echo invalid data >&2; exit 1 ;; esac\necho film > \"$out\""),
        );
    };
    fs::create_dir(site.0.join("in")).unwrap();
    for film in ["intro", "talk", "out take"] {
        site.0.write(&format!("in/{film}.mov"), "");
    }
    ffmpeg("out/talk");
    site.runs(&["process", "encode"], 1);
    assert!(site.0.join("out/intro.mkv").exists() && site.0.join("out/out take.mkv").exists());
    assert!(!site.0.join("out/talk.mkv").exists());
    assert_eq!(site.run(&["log", "@failed"]).stdout, "invalid data\n");
    assert_eq!(site.outcome("encode/sizes"), json!("succeeded"), "it needs only that they finish");
    site.calls();
    ffmpeg("nothing");
    site.runs(&["retry", "--failed"], 0);
    site.runs(&["wait", "encode"], 0);
    assert!(site.0.join("out/talk.mkv").exists());
    let call = |film: &str| format!("ffmpeg -nostdin -y -i in/{film}.mov -c:v libx264 -crf 20 out/{film}.part.mkv");
    assert_eq!(site.calls(), [call("talk")]);
    // One more film: the others are done.
    site.0.write("in/credits.mov", "");
    site.runs(&["process", "encode"], 0);
    assert_eq!(site.calls(), [call("credits")]);
    assert_eq!(site.outcome("encode/film[credits.mov]"), json!("succeeded"));
}

#[test]
fn only_films_that_changed_are_encoded_again() {
    let site = ExampleSite::new("encode");
    site.program("bin/ffmpeg", "for out; do :; done\necho film > \"$out\"");
    fs::create_dir(site.0.join("in")).unwrap();
    for film in ["intro", "talk", "outro"] {
        site.0.write(&format!("in/{film}.mov"), film);
    }
    site.runs(&["process", "encode"], 0);
    assert_eq!(site.calls().len(), 3);
    site.0.write("in/talk.mov", "another talk");
    site.runs(&["process", "encode", "--again"], 0);
    assert_eq!(site.calls(), ["ffmpeg -nostdin -y -i in/talk.mov -c:v libx264 -crf 20 out/talk.part.mkv"]);
    fs::remove_file(site.0.join("out/intro.mkv")).unwrap();
    site.runs(&["process", "encode", "--again"], 0);
    assert_eq!(site.calls(), ["ffmpeg -nostdin -y -i in/intro.mov -c:v libx264 -crf 20 out/intro.part.mkv"]);
}

#[test]
fn a_sweep_has_a_best_value() {
    let site = ExampleSite::new("sweep");
    // The best one is in the middle, and is the smallest as a number only.
    let losses = "case \"$2 $4\" in '0.01 4') echo 9e-2 ;; '0.001 2') echo 0.4 ;; *) echo 1$4 ;; esac";
    // A GPU is locked while it is used.
    let lock = "mkdir gpu-$CUDA_VISIBLE_DEVICES || exit 1\nls -d gpu-? | wc -l >> used";
    site.program("train.py", &format!("{lock}\nrmdir gpu-$CUDA_VISIBLE_DEVICES\n{losses}"));
    site.runs(&["process", "sweep"], 0);
    assert_eq!(site.calls().len(), 6);
    let table = site.runs(&["results", "sweep"], 0).stdout;
    let best: Vec<&str> = table.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!(best, ["0.01", "4", "9e-2", "succeeded", "sweep/train-0-01-4"], "{table}");
    let reported = site.0.job("sweep/best")["value"].as_str().unwrap().to_owned();
    assert_eq!(reported.split_whitespace().collect::<Vec<_>>(), best, "{reported}");
    let below = site.runs(&["list", "-q", "value:<0.3"], 0).stdout;
    assert!(below.lines().count() == 1 && below.contains("rate 0.01, depth 4"), "{below}");
}

#[test]
fn five_trainings_share_two_gpus() {
    let site = ExampleSite::new("gpus");
    // A GPU is locked while it is used: another job on it would fail.
    let on_gpu = "for gpu in $(echo $CUDA_VISIBLE_DEVICES | tr , ' '); do mkdir gpu-$gpu || exit 1; done\nls -d gpu-? | wc -l\n\
                  for gpu in $(echo $CUDA_VISIBLE_DEVICES | tr , ' '); do rmdir gpu-$gpu; done";
    site.program("train.py", on_gpu);
    site.program("evaluate.py", &format!("mkdir licence || exit 1\n{on_gpu}\nrmdir licence"));
    site.runs(&["process", "--quiet"], 0);
    assert_eq!(site.calls().len(), 9);
    assert_eq!(site.0.job("train/huge")["value"], json!("2"), "it had both");
    let runs = serde_json::from_str::<Value>(&site.runs(&["show", "train/huge", "--json"], 0).stdout).unwrap();
    assert_eq!(runs["runs"][0]["pools"], json!({"gpu": [0, 1]}));
}

#[test]
fn the_version_of_the_build_goes_into_the_upload() {
    let site = ExampleSite::new("version");
    site.program("bin/make", "echo v1.2").program("upload", "").program("announce", "");
    site.runs(&["process", "release", "--quiet"], 0);
    assert_eq!(site.calls(), ["make dist", "upload --tag v1.2 dist/app-v1.2.tar.gz", "announce v1.2 succeeded"]);
    let shown = site.runs(&["show", "release/upload"], 0).stdout;
    assert!(shown.contains("ran ./upload --tag v1.2 dist/app-v1.2.tar.gz"), "{shown}");
    site.program("upload", "exit 1");
    site.runs(&["process", "release", "--quiet", "--again"], 1);
    assert_eq!(site.calls()[2], "announce v1.2 failed");
}

#[test]
fn a_release_asks_before_it_publishes() {
    let site = ExampleSite::new("release");
    site.program("bin/make", "");
    // Without a terminal there is no one to ask.
    assert_eq!(site.run(&["process", "release"]).code, Some(2), "the version has no default");
    let version = ["--input", "version=1.2; exit", "--input", "channel=stable"];
    let process = |further: &'static [&str]| [&["process", "release"], &version[..], further].concat();
    site.run(&process(&[]));
    assert_eq!(site.calls(), ["make test", "make package VERSION=1.2; exit"]);
    assert_eq!(site.0.job("release/publish")["state"], json!("pending"));
    let other = site.runs(&process(&["--yes", "--input", "channel=beta"]), 2);
    assert!(other.stderr.contains("is already being processed with other inputs"), "{other:?}");
    site.runs(&process(&["--yes", "--again"]), 0);
    assert_eq!(site.calls(), ["make test", "make package VERSION=1.2; exit", "make publish CHANNEL=stable"]);
    site.program("bin/make", "test \"$1\" != test");
    site.run(&process(&["--yes", "--again"]));
    assert_eq!(site.calls(), ["make test"], "a failure stops the release");
}

#[test]
fn a_server_is_started_again_whenever_it_ends() {
    let site = ExampleSite::new("server");
    site.program("server", "echo listening\ntest -e ended || { : > ended; exit 0; }\nexec sleep 1000");
    site.runs(&["retry", "server/web"], 0);
    site.0.wait_until("server/web", |job| job["attempt"] == 2 && job["state"] == "running");
    assert_eq!(site.calls()[0], "server --port 8080");
    site.runs(&["cancel", "server/web"], 0);
    site.runs(&["wait", "server/web"], 1);
    assert_eq!(site.outcome("server/web"), json!("cancelled"));
    assert!(!site.0.processes().iter().any(|process| process.belongs_to_job));
}

#[test]
fn the_line_for_cron_runs_every_night() {
    let site = ExampleSite::new("nightly");
    site.program("bin/pg_dump", "echo dump > dump.pgdump").program("bin/rsync", "");
    let text = site.0.read("jobs.yaml");
    let line = text.lines().find_map(|line| line.strip_prefix("#   0 2 * * * setlist ")).unwrap();
    let file = site.0.join("jobs.yaml");
    let line = line.replace("/srv/nightly/jobs.yaml", file.to_str().unwrap());
    let args: Vec<&str> = line.split_whitespace().collect();
    for night in 1..=2 {
        let output = site.runs(&args, 0);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "cron would send a mail");
        assert_eq!(site.0.job("nightly/upload")["run_count"], json!(night));
    }
    let calls = site.calls();
    assert_eq!(calls.len(), 4, "{calls:?}");
    assert_eq!(calls[3], "rsync --partial dump.pgdump backup.example.org:dumps/");
}

#[test]
fn each_file_is_loaded_once_and_the_rows_are_counted() {
    let site = ExampleSite::new("data-load");
    let text = site.0.read("jobs.yaml");
    site.0.write("jobs.yaml", &text.replace("delay: 10s", "delay: 10ms"));
    fs::create_dir(site.0.join("orders")).unwrap();
    site.0.write("orders/may.csv", "1\n2\n");
    site.0.write("orders/june.csv", "3\n");
    // A table that is a file. Loading fails for the files that contain this word.
    let psql = |fails: &str| {
        let script = format!(
            "case $* in *'select count'*) wc -l < \"$SETLIST_SITE/table\" ;; \
             *) rows=$(cat); case $rows in *{fails}*) exit 1 ;; esac; echo \"$rows\" >> \"$SETLIST_SITE/table\" ;; esac"
        );
        site.program("bin/psql", &script);
    };
    psql("3");
    site.runs(&["process", "load", "--quiet"], 1);
    assert_eq!(site.0.job("load/count[may.csv]")["value"], json!("2"));
    assert_eq!(
        (site.outcome("load/load[may.csv]"), site.outcome("load/verify")),
        (json!("succeeded"), json!("skipped"))
    );
    psql("nothing");
    // A file that is new, and the one that failed: what was loaded is not loaded again.
    site.0.write("orders/july.csv", "4\n5\n6\n");
    site.runs(&["process", "load", "--quiet"], 0);
    site.runs(&["retry", "--failed"], 0);
    site.runs(&["wait", "load"], 0);
    assert_eq!(site.0.job("load/verify")["value"], json!("6 of 6 rows"));
    assert_eq!(site.0.read("table"), "1\n2\n4\n5\n6\n3\n", "each file once");
}

#[test]
fn shared_parts_are_the_same_for_all_but_for_what_is_set() {
    let site = ExampleSite::new("shared-parts");
    site.program("migrate", "").program("deploy", "");
    site.runs(&["process", "eu"], 0);
    site.runs(&["process", "us"], 0);
    assert_eq!(
        site.calls(),
        [
            "migrate --database eu-west-1",
            "deploy --region eu-west-1 --gradually",
            "migrate --database us-east-1",
            "deploy --region us-east-1 --at-once"
        ]
    );
}

#[test]
fn a_project_includes_what_it_shares_with_others() {
    let site = ExampleSite(TempSite::empty());
    fs::create_dir(site.0.join("bin")).unwrap();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/project");
    for name in ["jobs.yaml", "shared.yaml"] {
        site.0.write(name, &fs::read_to_string(folder.join(name)).unwrap());
    }
    // The tests that use the database lock it.
    site.program(
        "bin/make",
        "echo $PROJECT $MAKEFLAGS\ntest $1 = test && exit\nmkdir database || exit 1\nrmdir database",
    );
    site.program("deploy", "test ! -e database");
    assert_eq!(site.runs(&["check"], 0).stdout, "jobs.yaml: 2 queues, 4 jobs\n");
    site.runs(&["process", "test", "deploy", "--quiet"], 0);
    let mut calls = site.calls();
    calls.sort();
    assert_eq!(calls, ["deploy staging", "make orders", "make stock", "make test"]);
    assert_eq!(site.0.job("test/unit")["value"], json!("shop -j2"));
    site.runs(&["process", "test", "deploy", "--quiet", "--again", "--input", "env=production"], 0);
    assert_eq!(
        site.calls().iter().filter(|call| call.starts_with("deploy")).collect::<Vec<_>>(),
        ["deploy production"]
    );
}

#[test]
fn a_parameter_is_a_variable_of_the_environment() {
    let site = ExampleSite::new("parameter");
    site.program("deploy", "");
    let output = site.command(&["process", "deploy", "--again"]).env_remove("TARGET").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(site.run(&["log", "@failed"]).stdout, "set TARGET to staging or production\n");
    for target in ["staging", "production"] {
        let output = site.command(&["process", "deploy", "--again"]).env("TARGET", target).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(site.calls(), [format!("deploy {target}")]);
    }
}

#[test]
fn a_failure_is_reported_by_mail() {
    let site = ExampleSite::new("mail");
    site.program("bin/mail", "cat >> \"$SETLIST_SITE/mail\"");
    site.program("backup.sh", "echo saving; echo no space left >&2; exit 3").program("report.sh", "");
    site.runs(&["process", "nightly"], 1);
    let mut calls = site.calls();
    calls.sort();
    let host = rustix::system::uname().nodename().to_str().unwrap().to_owned();
    assert_eq!(
        calls,
        [
            "backup.sh ".to_owned(),
            format!("mail -s nightly/backup failed on {host} ops@example.org"),
            "report.sh ".to_owned()
        ]
    );
    let mail = site.0.read("mail");
    assert!(
        mail.starts_with("exit code 3\n\n") && mail.contains("saving\n") && mail.contains("no space left\n"),
        "{mail}"
    );
}

#[test]
fn a_push_notification_says_how_a_job_ended() {
    let site = ExampleSite::new("ntfy");
    site.program("bin/curl", "cat >> \"$SETLIST_SITE/sent\"")
        .program("bin/make", "echo \"made $1\"; test \"$1\" = test");
    site.runs(&["process", "build"], 1);
    let calls = site.calls();
    let sent: Vec<&String> = calls.iter().filter(|call| call.starts_with("curl ")).collect();
    let url = "https://ntfy.sh/CHANGE-THIS-TOPIC";
    for (title, priority) in [("Unit tests: succeeded", "low"), ("Package: failed", "high")] {
        let found = sent.iter().find(|call| call.contains(&format!("-H Title: {title} "))).unwrap();
        assert!(found.contains(&format!("-H Priority: {priority} ")) && found.ends_with(url), "{found}");
    }
    let mut lines: Vec<String> = site.0.read("sent").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["made package", "made test"]);
}

#[test]
fn a_message_in_slack_is_valid_json() {
    let site = ExampleSite::new("slack");
    site.0.write("slack.env", "SLACK_WEBHOOK=https://hooks.slack.com/services/T0\n");
    // The argument after --data, on a line of its own.
    site.0.script(
        "bin/curl",
        "for word; do test \"$last\" != --data || echo \"$word\" > data; last=$word; done; echo \"$last\" > url",
    );
    site.program("migrate", "exit 4").program("deploy", "");
    site.runs(&["process", "deploy"], 1);
    let data: Value = serde_json::from_str(&site.0.read("data")).unwrap();
    let text = data["text"].as_str().unwrap();
    assert!(text.starts_with("Migrate the \"main\" database failed on ") && text.ends_with(": exit code 4"), "{text}");
    assert_eq!(site.0.read("url"), "https://hooks.slack.com/services/T0\n");
    assert_eq!(site.calls(), ["migrate "], "what needs it is skipped, and not reported");
}

#[test]
fn a_health_check_is_pinged_after_each_run() {
    let site = ExampleSite::new("health-check");
    site.program("bin/curl", "cat > \"$SETLIST_SITE/sent\"").program("backup.sh", "echo saved");
    site.runs(&["process", "nightly"], 0);
    let ping =
        |end: &str| format!("curl -fsS -m 20 --retry 5 --data-binary @- https://hc-ping.com/CHANGE-THIS-ID{end}");
    let wait_for_ping = |sent: &str| wait_for("the ping", || (site.0.read("sent") == sent).then_some(()));
    wait_for_ping("saved\n");
    assert_eq!(site.calls()[1..], [ping("")]);
    site.program("backup.sh", "echo no space left; exit 1");
    site.runs(&["process", "nightly", "--again"], 1);
    // A worker that stays for the schedule may have run the job, and then runs the hook.
    wait_for_ping("no space left\n");
    assert_eq!(site.calls()[1..], [ping("/fail")]);
}

#[test]
fn a_health_check_is_pinged_if_a_success_is_overdue() {
    let site = ExampleSite::new("health-check");
    // So that it is overdue soon.
    let yaml = site.0.read("jobs.yaml").replace("within: 26h", "within: 1s").replace("    schedule: 30 2 * * *\n", "");
    // The hook was requested by no user, so it has the PATH of a login.
    let path = format!("env: {{PATH: '{}:/usr/bin:/bin', PING_URL", site.0.join("bin").display());
    site.0.write("jobs.yaml", &yaml.replace("env: {PING_URL", &path));
    site.program("bin/curl", "true").program("backup.sh", "exit 1");
    site.runs(&["process", "nightly"], 1);
    let told = |call: &String| call.starts_with("curl ") && call.contains("--data-raw") && call.contains("overdue");
    let call = wait_for("the ping", || site.0.read("calls").lines().map(str::to_owned).find(told));
    assert!(call.ends_with(" https://hc-ping.com/CHANGE-THIS-ID/fail"), "{call}");
}

#[test]
fn a_nightly_backup_keeps_the_newest_archives() {
    let site = ExampleSite::new("archive");
    let next: Value = serde_json::from_str(&site.run(&["schedule", "--next", "1", "--json"]).stdout).unwrap();
    assert!(next["due_at"].as_str().unwrap().ends_with("T02:30:00.000Z"), "{next}");
    let archives = || {
        let names = fs::read_dir(site.0.join("archives")).unwrap().map(|file| file.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    fs::create_dir_all(site.0.join("documents")).unwrap();
    fs::create_dir(site.0.join("archives")).unwrap();
    site.0.write("documents/letter", "Dear\n");
    for day in 10..30 {
        site.0.write(&format!("archives/2020-01-{day}T023000.tar.gz"), "");
    }
    // The folder can't be saved: nothing is removed.
    site.program("bin/tar", "echo read error >&2; exit 2");
    site.0.write("jobs.yaml", &site.0.read("jobs.yaml").replace("delay: 5m", "delay: 1ms"));
    site.runs(&["process", "backup"], 1);
    assert_eq!((archives().len(), site.0.job("backup/save")["run_count"].clone()), (20, json!(3)));
    assert_eq!(site.outcome("backup/prune"), json!("skipped"));
    fs::remove_file(site.0.join("bin/tar")).unwrap();
    site.runs(&["process", "backup", "--again", "--resume"], 0);
    let kept = archives();
    assert_eq!((kept.len(), kept[0].as_str()), (14, "2020-01-17T023000.tar.gz"), "{kept:?}");
    let newest = site.0.join("archives").join(kept.last().unwrap());
    let listed = Command::new("tar").arg("-tzf").arg(newest).output().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "documents/\ndocuments/letter\n");
}

#[test]
fn the_bundled_demo_works_in_any_folder() {
    let site = TempSite::empty();
    let bundled = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs.yaml")).unwrap();
    site.write("jobs.yaml", &bundled);
    let check = site.run(&["check"]);
    assert!(check.code == Some(0) && !check.stderr.contains("does not exist"), "{check:?}");
    for job in ["demo/hello", "demo/input", "demo/variables"] {
        site.ok(&["retry", job]);
        site.ok(&["wait", "--quiet", job]);
    }
    assert_eq!(site.ok(&["log", "demo/input"]), "/\nlines\nshort\nthree\n");
}
