//! Inputs as a user sees them on the command line.

use std::fs;

use serde_json::{Value, json};

use crate::temp_site::TempSite;

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
        "setlist: deploy needs a value, also as --inputs FILE:\n  --input version=TEXT: the tag to deploy\n"
    );
    assert_eq!(
        refused(&["start", "deploy", "--input", "version=1", "--input", "env=moon"]),
        "setlist: input env: expected `staging` or `prod`, found \"moon\"\n"
    );
    assert_eq!(
        refused(&["retry", "deploy/tell", "--input", "versoin=1"]),
        "setlist: there is no input \"versoin\"; did you mean \"version\"?\n"
    );
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
