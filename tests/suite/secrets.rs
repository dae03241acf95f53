//! `secrets` of the file: their values are masked in what is kept and shown of a run.

use std::fs;

use serde_json::json;

use crate::temp_site::TempSite;

const SECRET: &str = "sesame-open-4711";

/// Whether a text is in any file of a folder of the site.
fn is_below(site: &TempSite, folder: &str, text: &str) -> bool {
    let mut folders = vec![site.path().join(folder)];
    let mut is_found = false;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(content) = fs::read(path) {
                is_found |= content.windows(text.len()).any(|part| part == text.as_bytes());
            }
        }
    }
    is_found
}

#[test]
fn secrets_are_masked_in_output_values_and_errors() {
    let site = TempSite::with(
        "secrets: [TOKEN, UNSET]\nqueues:\n  q:\n    env_file: secrets.env\n    parallel: 1\n    jobs:\n      \
         - {id: out, run: 'echo \"a $TOKEN b\"; printf sesame-o; printf \"pen-4711\\n\"; echo \"err $TOKEN\" >&2'}\n      \
         - {id: terminal, pty: true, run: 'echo \"pty $TOKEN\"'}\n      \
         - {id: value, run: 'echo \"{\\\"auth\\\": [\\\"Bearer $TOKEN\\\"]}\" > $SETLIST_VALUE'}\n      \
         - {id: bad, run: 'echo \"error: denied for $TOKEN\" >&2; exit 3'}\n      - {id: plain, run: 'echo sesame-ope'}\n",
    );
    site.write("secrets.env", &format!("TOKEN={SECRET}\n"));
    site.run(&["process", "--quiet"]);
    let out = site.run(&["log", "q/out"]);
    let printed = out.stdout + &out.stderr;
    assert!(printed.contains("a ••• b\n•••\n") && printed.contains("err •••\n"), "{printed}");
    assert!(site.ok(&["log", "q/terminal"]).contains("pty •••"));
    assert_eq!(site.job("q/out")["value"], json!("•••"));
    assert_eq!(site.job("q/value")["value"], json!({"auth": ["Bearer •••"]}));
    let cause = &site.job("q/bad")["cause"];
    assert!(cause["text"].as_str().unwrap().contains("denied for •••"), "{cause}");
    assert_eq!(site.ok(&["log", "q/plain"]), "sesame-ope\n", "a part of it is nothing");
    assert!(!site.ok(&["show", "q/bad", "--json"]).contains(SECRET));
    assert!(!is_below(&site, ".setlist/logs", SECRET));
}

#[test]
fn a_secret_that_is_too_short_fails_the_job() {
    let site = TempSite::with("secrets: [PIN]\nqueues: {q: [{id: a, run: 'echo $PIN', env: {PIN: '12345'}}]}\n");
    site.run(&["process", "--quiet"]);
    let job = site.job("q/a");
    assert_eq!(job["error"], json!("the secret PIN has fewer than 6 characters, too few to mask it"));
    let site = TempSite::with("queues: {q: {inputs: {pin: {type: secret}}, jobs: ['true']}}\n");
    let refused = site.run(&["process", "--input", "pin=12345"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("6 or more characters"), "{refused:?}");
    assert!(!refused.stderr.contains("12345"), "{refused:?}");
}

#[test]
fn a_secret_input_is_masked_in_the_output() {
    let site = TempSite::with(
        "queues: {q: {inputs: {token: {type: secret}}, jobs: [{id: a, run: 'echo \"got $SETLIST_INPUT_TOKEN\"'}]}}\n",
    );
    site.ok(&["process", "--quiet", "--input", &format!("token={SECRET}")]);
    assert_eq!(site.ok(&["log", "q/a"]), "got •••\n");
    assert_eq!(site.job("q/a")["value"], json!("got •••"));
}

#[test]
fn a_secret_input_is_masked_in_the_error_of_a_run_that_never_started() {
    let site = TempSite::with(
        "queues:\n  q:\n    inputs: {tok: {type: secret}}\n    jobs:\n      \
         - {id: folder, cwd: '/nosuch/${inputs.tok}', run: 'true'}\n      \
         - {id: path, command: [nosuch-command], env: {PATH: '/nosuch/${inputs.tok}'}}\n      \
         - {id: interpreter, cwd: '/${inputs.tok}', command: [./a]}\n      \
         - {id: asks, cwd: '/nosuch/${inputs.tok}', if: 'true', run: 'true'}\n      \
         - {id: observes, cwd: '/nosuch/${inputs.tok}', sources: 'a/*', run: 'true'}\n",
    );
    let processed = site.run(&["process", "q", "--input", &format!("tok={SECRET}")]);
    assert_eq!(processed.code, Some(1), "{processed:?}");
    let mut shown = processed.stdout + &processed.stderr;
    shown += &site.ok(&["list", "--json"]);
    shown += &site.ok(&["list"]);
    for job in ["folder", "path", "interpreter", "asks", "observes"] {
        let name = format!("q/{job}");
        shown += &site.ok(&["show", &name]);
        shown += &site.ok(&["show", &name, "--json"]);
        shown += &site.run(&["explain", &name]).stdout;
    }
    assert!(!shown.contains(SECRET), "{shown}");
    let folder = site.job("q/folder");
    assert_eq!(folder["error"], json!("no such file or directory: /nosuch/••• (the working directory)"));
    assert!(site.job("q/path")["cause"]["text"].as_str().unwrap().contains("searched /nosuch/•••"));
    assert!(!is_below(&site, ".setlist", SECRET));
}

#[test]
fn a_secret_input_in_the_name_of_a_folder_is_not_kept_with_the_hashes_of_its_files() {
    let site = TempSite::with(
        "queues: {q: {inputs: {tok: {type: secret}}, \
         jobs: [{id: a, cwd: '/${inputs.tok}', sources: Cargo.toml, run: 'true'}]}}\n",
    );
    // Files that were changed just now are not kept at all.
    let folder = env!("CARGO_MANIFEST_DIR").trim_start_matches('/');
    site.ok(&["process", "--quiet", "--input", &format!("tok={folder}")]);
    assert_eq!(site.job("q/a")["outcome"], json!("succeeded"));
    assert!(!is_below(&site, ".setlist", folder));
}
