//! Inputs as a user sees them on the command line.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::temp_site::{CommandOutput, TempSite};
use crate::terminal::Terminal;

const FILE: &str = "queues:\n  deploy:\n    inputs:\n      env: {options: [staging, prod], default: staging}\n      \
    version: {description: the tag to deploy}\n      dry-run: false\n    jobs:\n      \
    - {id: tag, command: [printf, '%s|', '${inputs.env}', 'v${inputs.version}', '${inputs.dry-run}']}\n      \
    - {id: tell, run: 'echo \"$SETLIST_INPUT_ENV $SETLIST_INPUT_VERSION $SETLIST_INPUT_DRY_RUN\"'}\n  other: ['true']\n";

#[test]
fn values_are_given_on_the_command_line_and_kept_with_the_runs() {
    let site = TempSite::with(FILE);
    site.ok(&["process", "--quiet", "--input", "env=prod", "--input", "version=1; touch x = $(id)"]);
    assert_eq!(site.ok(&["log", "deploy/tag"]), "prod|v1; touch x = $(id)|false|");
    assert_eq!(site.job("deploy/tell")["value"], json!("prod 1; touch x = $(id) false"));
    let shown: Value = serde_json::from_str(&site.ok(&["show", "deploy/tag", "--json"])).unwrap();
    let inputs = json!({"dry-run": "false", "env": "prod", "version": "1; touch x = $(id)"});
    assert_eq!(shown["runs"][0]["inputs"], inputs);
    let text = site.ok(&["show", "deploy/tell"]);
    assert!(text.contains("with dry-run=false env=prod version='1; touch x = $(id)'\n"), "{text}");
    let variables = site.ok(&["show", "--env", "deploy/tell"]);
    assert!(variables.contains("SETLIST_INPUT_ENV"), "{variables}");
    // Run again, it keeps them.
    site.write("values.yaml", "version: 2\nenv: staging\n");
    site.ok(&["retry", "deploy/tell", "--input", "env=staging"]);
    let job = site.wait_until("deploy/tell", |job| job["run_count"] == 2 && job["state"] == "finished");
    assert_eq!(job["value"], json!("staging 1; touch x = $(id) false"));
    let file = site.path().join("values.yaml");
    site.ok(&["start", "deploy", "--again", "--inputs", file.to_str().unwrap(), "--input", "env=prod"]);
    let job = site.wait_until("deploy/tell", |job| job["run_count"] == 3 && job["state"] == "finished");
    assert_eq!(job["value"], json!("prod 2 false"));
    site.ok(&["run", "-q", "deploy", "--wait", "--input", "version=9", "sh", "-c", "test $SETLIST_INPUT_VERSION = 9"]);
}

#[test]
fn wrong_values_are_refused_before_anything_starts() {
    let site = TempSite::with(FILE);
    let refused = |arguments: &[&str]| {
        let out = site.run(arguments);
        assert_eq!((out.code, out.stdout.as_str()), (Some(2), ""), "{out:?}");
        out.stderr
    };
    assert_eq!(
        refused(&["process"]),
        "setlist: deploy needs a value; give it with --input, or in a file with --inputs:\n  --input version=TEXT: the tag to deploy\n"
    );
    assert_eq!(
        refused(&["start", "deploy", "--input", "version=1", "--input", "env=moon"]),
        "setlist: input env: expected `staging` or `prod`, found \"moon\"\n"
    );
    assert_eq!(
        refused(&["retry", "deploy/tell", "--input", "versoin=1"]),
        "setlist: there is no input \"versoin\"; did you mean \"version\"?\n"
    );
    let known = refused(&["retry", "deploy/tell", "--input", "zzzzzz=1"]);
    assert_eq!(known, "setlist: there is no input \"zzzzzz\"; the inputs are dry-run, env, version\n");
    assert!(refused(&["retry", "deploy/tell"]).starts_with("setlist: deploy needs a value"));
    assert!(refused(&["process", "--input", "version"]).contains("expected NAME=VALUE"));
    assert!(refused(&["process", "--inputs", "missing.yaml"]).contains("does not exist"));
    assert!(refused(&["run", "-q", "deploy", "true"]).contains("--input version=TEXT"));
    assert_eq!(
        refused(&["process", "other", "--input", "env=prod"]),
        "setlist: there is no input \"env\"; these queues have none\n"
    );
    assert_eq!(site.job("deploy/tell")["state"], json!("pending"));
    assert_eq!(site.job("deploy/tell")["run_count"], json!(0));
    site.ok(&["process", "other", "--quiet"]);
}

#[test]
fn a_secret_reaches_its_jobs_and_is_kept_nowhere() {
    let secret = "sesame-open-4711";
    let site = TempSite::with(
        "queues:\n  q:\n    inputs: {token: {type: secret}}\n    pass_env: none\n    jobs:\n      \
         - {id: use, command: [sh, -c, 'test \"$1\" = \"$SETLIST_INPUT_TOKEN\" && test ${#1} = 16', sh, '${inputs.token}']}\n",
    );
    site.ok(&["process", "--quiet", "--input", &format!("token={secret}")]);
    let shown = site.ok(&["show", "q/use"]) + &site.ok(&["show", "q/use", "--json"]);
    assert!(shown.contains("token=•••") && shown.contains("\"inputs\":{\"token\":null}"), "{shown}");
    assert!(!(shown + &site.ok(&["show", "--env", "--reveal", "q/use"])).contains(secret));
    let mut folders = vec![site.path().join(".setlist")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(content) = fs::read(&path) {
                let is_in = content.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!is_in, "{} contains the secret", path.display());
            }
        }
    }
    let again = site.run(&["retry", "q/use"]);
    assert!(again.code == Some(2) && again.stderr.contains("--input token=SECRET"), "{again:?}");
}

#[test]
fn a_job_that_was_added_before_gets_the_secrets_of_the_request_that_runs_it() {
    let site = TempSite::with(
        "queues:\n  q:\n    inputs:\n      env: {options: [staging, prod]}\n      token: {type: secret}\n    jobs:\n      \
         - {id: push, run: 'true'}\n",
    );
    site.ok(&[
        "add",
        "q",
        "--retry",
        "1",
        "--",
        "sh",
        "-c",
        "printf %s \"$SETLIST_INPUT_ENV ${#SETLIST_INPUT_TOKEN}\"; [ -e again ] || { touch again; exit 1; }",
    ]);
    site.ok(&["process", "q", "--quiet", "--input", "env=prod", "--input", "token=sesame-open"]);
    let job = site.job("2");
    assert_eq!((&job["outcome"], &job["run_count"]), (&json!("succeeded"), &json!(2)), "{job}");
    assert_eq!(site.ok(&["log", "2"]), "prod 11");
    // Run again by itself, it needs the secret again.
    let again = site.run(&["retry", "2"]);
    assert!(again.code == Some(2) && again.stderr.contains("--input token=SECRET"), "{again:?}");
    site.ok(&["retry", "2", "--input", "token=another-one"]);
    site.ok(&["wait", "2"]);
    assert_eq!(site.ok(&["log", "2"]), "prod 11");
}

#[test]
fn process_again_keeps_the_values_of_the_last_run() {
    let site = TempSite::with(FILE);
    let last = |job: &str| site.job(job)["value"].clone();
    site.ok(&["process", "deploy", "--quiet", "--input", "version=a b", "--input", "env=prod"]);
    let plan = site.run(&["process", "deploy", "--again", "--dry-run", "--input", "env=staging"]);
    assert_eq!(
        (plan.code, plan.stdout.as_str(), plan.stderr.as_str()),
        (
            Some(0),
            "deploy/tag  printf %s| ${inputs.env} v${inputs.version} ${inputs.dry-run}\n\
             deploy/tell  echo \"$SETLIST_INPUT_ENV $SETLIST_INPUT_VERSION $SETLIST_INPUT_DRY_RUN\"\n",
            "setlist: deploy runs again with dry-run=false version='a b', as last time\nsetlist: 2 jobs pending\n"
        )
    );
    assert_eq!(site.job("deploy/tell")["state"], json!("finished"), "nothing has changed");
    let again = site.run(&["process", "deploy", "--again", "--input", "env=staging"]);
    assert!(again.code == Some(0) && again.stderr.contains("deploy runs again with dry-run=false version='a b'"));
    assert_eq!(last("deploy/tell"), json!("staging a b false"));
    let quiet = site.run(&["process", "deploy", "--again", "--quiet"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
    assert_eq!((last("deploy/tell"), &site.job("deploy/tell")["run_count"]), (json!("staging a b false"), &json!(3)));
}

#[test]
fn values_come_from_standard_input() {
    let site = TempSite::with(FILE);
    let give = |text: &str| {
        let mut command = site.command(&["process", "deploy", "--quiet", "--inputs", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        CommandOutput::from_output(&child.wait_with_output().unwrap())
    };
    let wrong = give("version: [1]\n");
    assert!(wrong.code == Some(2) && wrong.stderr.contains("standard input:1:10"), "{wrong:?}");
    let good = give("{\"version\": \"7\", \"env\": \"prod\"}");
    assert_eq!((good.code, good.stderr.as_str()), (Some(0), ""));
    assert_eq!(site.job("deploy/tell")["value"], json!("prod 7 false"));
}

#[test]
fn jobs_get_the_values_of_the_form_on_the_screen() {
    let site = TempSite::with(
        "queues:\n  deploy:\n    inputs:\n      env: {options: [staging, prod], default: staging}\n      \
         version: {description: the tag to deploy}\n      token: {type: secret}\n    jobs:\n      \
         - {id: tell, run: 'test ${#SETLIST_INPUT_TOKEN} = 11 && echo \"$SETLIST_INPUT_ENV $SETLIST_INPUT_VERSION\"'}\n",
    );
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("p process");
    screen.keys("p");
    screen.wait_for_text("the tag to deploy");
    screen.keys("1.2\tsesame-open");
    let text = screen.wait_for_text("•••••••••••");
    assert!(!text.contains("sesame"), "{text}");
    screen.keys("\t\x1b[C");
    screen.wait_for_text("< prod >");
    screen.keys("\r");
    let job = site.wait_until("deploy/tell", |job| job["state"] == json!("finished"));
    assert_eq!((&job["outcome"], &job["value"]), (&json!("succeeded"), &json!("prod 1.2")));
    screen.keys("q");
    assert!(screen.wait_for_exit().success());
    assert!(!site.read(".setlist/worker.log").contains("sesame"));
}
