//! `for_each`: a job per item, whose files come and go.

use std::fs;

use serde_json::{Value, json};

use crate::temp_site::TempSite;

/// A job per file, one that needs the job of the same file, and one that needs all.
const FILMS: &str = r#"
queues:
  films:
    jobs:
      - id: encode
        for_each: {glob: "in/*.mp4"}
        run: |
          echo "$SETLIST_ITEM" >> calls
          cp "$SETLIST_ITEM" "out-$SETLIST_ITEM_STEM"
      - {id: check, needs: "encode[${item}]", command: [test, -e, "out-${item.stem}"], for_each: {glob: "in/*.mp4"}}
      - {id: sum, needs: [encode, check], run: "ls out-* | wc -l"}
"#;

fn site_with(files: &[&str]) -> TempSite {
    let site = TempSite::with(FILMS);
    fs::create_dir(site.join("in")).unwrap();
    for file in files {
        site.write(&format!("in/{file}"), "");
    }
    site
}

/// The jobs of the queue with their states.
fn states(site: &TempSite) -> Vec<(String, String)> {
    let list = site.ok(&["list", "films", "--json"]);
    let jobs = list.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut states: Vec<_> = jobs.map(|job| (text(&job["name"]), text(&job["state"]))).collect();
    states.sort();
    states
}

fn calls(site: &TempSite) -> Vec<String> {
    let calls = site.read("calls");
    site.write("calls", "");
    calls.lines().map(str::to_owned).collect()
}

#[test]
fn a_file_that_appears_becomes_a_job_and_the_others_stay_done() {
    let site = site_with(&["b.mp4", "c d.mp4"]);
    site.ok(&["process", "films", "--quiet"]);
    assert_eq!(calls(&site), ["in/b.mp4", "in/c d.mp4"]);
    let first = site.job("films/encode[c%20d.mp4]");
    assert_eq!((&first["outcome"], &first["parameters"]), (&json!("succeeded"), &json!({"item": "in/c d.mp4"})));
    // The new file is first, so that all others move.
    site.write("in/a.mp4", "");
    assert_eq!(site.ok(&["reload"]), "2 jobs added, 1 job changed\n");
    assert_eq!(site.ok(&["reload"]), "nothing changed\n");
    let plan = site.run(&["process", "films", "--dry-run"]);
    let rows: Vec<&str> = plan.stdout.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(rows, ["films/encode[a.mp4]", "films/check[a.mp4]"]);
    assert!(plan.stderr.contains("2 jobs pending"), "{plan:?}");
    site.ok(&["process", "films", "--quiet"]);
    assert_eq!(calls(&site), ["in/a.mp4"]);
    assert_eq!(site.job("films/encode[c%20d.mp4]"), first, "neither run again nor replaced");
}

#[test]
fn a_summary_with_sources_runs_again_when_a_file_appears() {
    let site = TempSite::with(
        r#"
queues:
  q:
    jobs:
      - {id: encode, for_each: {glob: "in/*"}, run: 'cp "$SETLIST_ITEM" "out-$SETLIST_ITEM_NAME"'}
      - {id: sum, needs: encode, sources: "out-*", run: 'ls out-* | wc -l | tee -a calls'}
      - {id: mail, needs: encode, run: 'echo mail >> calls'}
"#,
    );
    fs::create_dir(site.join("in")).unwrap();
    site.write("in/a", "");
    site.ok(&["process", "q", "--quiet"]);
    assert_eq!(calls(&site), ["1", "mail"]);
    site.write("in/b", "");
    site.ok(&["process", "q", "--quiet"]);
    assert_eq!(calls(&site), ["2"], "after the job of the new file; without sources, it stays finished");
    site.ok(&["process", "q", "--quiet"]);
    assert_eq!(calls(&site), Vec::<String>::new());
}

#[test]
fn another_pattern_renames_no_job_and_history_survives_another_folder() {
    let site = site_with(&["a.mp4", "b.mp4"]);
    site.ok(&["process", "films", "--quiet"]);
    let first = site.job("films/encode[a.mp4]");
    calls(&site);
    fs::create_dir(site.join("more")).unwrap();
    site.write("more/b.mp4", "");
    let patterns = |patterns: &str| {
        site.write("jobs.yaml", &FILMS.replace("\"in/*.mp4\"", patterns));
        site.ok(&["process", "films", "--quiet"]);
        calls(&site)
    };
    assert_eq!(patterns("[\"in/*.mp4\", \"more/*.mp4\"]"), ["more/b.mp4"]);
    assert_eq!(site.job("films/encode[a.mp4]"), first);
    assert_eq!(site.job("films/check[more%2Fb.mp4]")["outcome"], "succeeded");
    // The names start after the folder of the first pattern, so these change. The jobs stay the same.
    assert_eq!(patterns("[\"more/*.mp4\", \"in/*.mp4\"]"), Vec::<String>::new());
    let renamed = site.job("films/encode[in%2Fa.mp4]");
    assert_eq!((&renamed["id"], &renamed["started"]), (&first["id"], &first["started"]));
    assert_eq!(states(&site).len(), 7);
}

#[test]
fn the_pending_job_of_a_file_that_vanishes_is_removed_and_a_finished_one_is_kept() {
    let site = site_with(&["a.mp4", "b.mp4"]);
    site.ok(&["process", "films", "--quiet"]);
    site.write("in/c.mp4", "");
    site.ok(&["reload"]);
    fs::remove_file(site.join("in/c.mp4")).unwrap();
    fs::remove_file(site.join("in/a.mp4")).unwrap();
    assert_eq!(site.ok(&["reload"]), "1 job changed, 2 jobs removed, 2 jobs only kept as a record\n");
    let finished = |name: &str| (name.to_owned(), "finished".to_owned());
    let names = ["check[a.mp4]", "check[b.mp4]", "encode[a.mp4]", "encode[b.mp4]", "sum"];
    assert_eq!(states(&site), names.map(finished));
    // When it comes back, it is the same job with its history.
    calls(&site);
    let id = site.job("films/encode[a.mp4]")["id"].clone();
    site.write("in/a.mp4", "");
    site.ok(&["process", "films", "--quiet"]);
    assert_eq!((site.job("films/encode[a.mp4]")["id"].clone(), calls(&site).len()), (id, 0));
}

#[test]
fn the_jobs_that_need_an_item_wait_for_it_and_the_last_for_all() {
    let site = site_with(&["a.mp4", "b.mp4"]);
    // One of them fails: only its own check is skipped, and the sum, which needs all.
    fs::create_dir(site.join("out-a")).unwrap();
    fs::remove_file(site.join("in/a.mp4")).unwrap();
    std::os::unix::fs::symlink("b.mp4", site.join("in/a.mp4")).unwrap();
    site.write("out-a/a.mp4", "");
    fs::set_permissions(site.join("out-a"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::create_dir(site.join("out-a/a.mp4.d")).unwrap();
    let outcomes = || {
        let names = ["encode[a.mp4]", "encode[b.mp4]", "check[a.mp4]", "check[b.mp4]", "sum"];
        names.map(|name| site.job(&format!("films/{name}"))["outcome"].as_str().unwrap_or_default().to_owned())
    };
    site.write(
        "jobs.yaml",
        &FILMS.replace(
            "cp \"$SETLIST_ITEM\" \"out-$SETLIST_ITEM_STEM\"",
            "[ \"$SETLIST_ITEM_NAME\" != a.mp4 ]; echo > out-$SETLIST_ITEM_STEM",
        ),
    );
    assert_eq!(site.run(&["process", "films", "--quiet"]).code, Some(1));
    assert_eq!(outcomes(), ["failed", "succeeded", "skipped", "succeeded", "skipped"]);
}

#[test]
fn names_of_files_are_never_code() {
    let site = TempSite::with(
        r#"
queues:
  q:
    - {id: show, for_each: {glob: "in/*"}, run: 'printf "%s|%s|" "$SETLIST_ITEM" "$SETLIST_ITEM_EXT"', on_finish: 'echo "$SETLIST_ITEM" >> hooks'}
    - {id: words, for_each: {glob: "in/*"}, command: [printf, "%s|", "${item}"], args: ["${item.name}"]}
"#,
    );
    fs::create_dir(site.join("in")).unwrap();
    let hostile = [
        "$(touch hacked).x",
        "`touch hacked`",
        "; touch hacked",
        "${matrix.a} {b}",
        "-rf",
        "tab\tand\nline",
        "%5B[0]é",
    ];
    for name in &hostile {
        site.write(&format!("in/{name}"), "");
    }
    assert_eq!(site.ok(&["check"]), "jobs.yaml: 1 queue, 14 jobs\n");
    site.ok(&["process", "q", "--quiet"]);
    assert!(!site.join("hacked").exists());
    let list = site.ok(&["list", "q", "--json"]);
    let values: Vec<String> = list
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["value"].as_str().unwrap_or_default().to_owned())
        .collect();
    for name in hostile.iter().filter(|name| !name.contains('\n')) {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        assert!(values.contains(&format!("in/{name}|{extension}|")) || name.contains('\t'), "{name} {values:?}");
        assert!(values.contains(&format!("in/{name}|{name}|")) || name.contains('\t'), "{name} {values:?}");
    }
    let names: Vec<Value> =
        list.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["name"].clone()).collect();
    assert!(
        names.contains(&json!("show[tab%09and%0Aline]")) && names.contains(&json!("show[%255B%5B0%5Dé]")),
        "{names:?}"
    );
    let shown = site.ok(&["show", "q/show[-rf]"]);
    assert!(shown.contains("item") && shown.contains("in/-rf"), "{shown}");
    assert_eq!(site.ok(&["log", "q/words[-rf]"]), "in/-rf|-rf|");
}

#[test]
fn warnings_are_printed_by_check_and_reload() {
    let site = TempSite::with("queues: {q: [{id: e, run: e, for_each: {glob: '*.mp4'}}]}");
    for command in ["check", "reload"] {
        let output = site.run(&[command]);
        let warning = "warning: jobs.yaml:1:47: no file matches `*.mp4`, so this defines no jobs";
        assert!(output.code == Some(0) && output.stderr.contains(warning), "{output:?}");
    }
}

#[test]
fn a_schedule_runs_the_files_that_came_since_the_file_was_read() {
    let site = TempSite::with(
        "queues: {q: {schedule: '@every 1s', jobs: [{id: load, run: 'echo \"$SETLIST_ITEM\"', for_each: {glob: 'in/*.csv'}}, {id: last, run: echo}]}}",
    );
    fs::create_dir(site.join("in")).unwrap();
    let mut worker = site.command(&["worker"]).spawn().unwrap();
    site.wait_until("q/last", |job| job["outcome"] == "succeeded");
    site.write("in/a.csv", "");
    // No command opens the site meanwhile: the worker has to find it.
    crate::temp_site::wait_for("the run of the new file", || {
        let folder = fs::read_dir(site.join(".setlist")).ok()?;
        drop(folder);
        let store =
            setlist::store::SqliteStore::open_to_read(&setlist::store::StateDir::new(site.join(".setlist"))).ok()?;
        let mut store: Box<dyn setlist::store::Store> = Box::new(store);
        let site_state = store.load().ok()?;
        site_state
            .jobs()
            .any(|job| job.name() == Some("load[a.csv]") && job.value.as_deref() == Some(&json!("in/a.csv")))
            .then_some(())
    });
    rustix::process::kill_process(rustix::process::Pid::from_child(&worker), rustix::process::Signal::TERM).unwrap();
    worker.wait().unwrap();
}

/// Names with the wildcards of patterns, and names that would not be well-formed patterns.
const ODD_NAMES: [&str; 10] = ["[x]", "x", "a [1]", "!d", "x[", "x{a", "y}", "w*", "q?", "{a,b}"];

/// The names of the files whose jobs a run of the queue did not skip.
fn encoded(site: &TempSite) -> Vec<String> {
    site.write("calls", "");
    let processed = site.run(&["process", "q", "--again"]);
    assert_eq!(processed.code, Some(0), "{processed:?}");
    let mut calls = calls(site);
    calls.sort();
    calls
}

#[test]
fn the_wildcards_in_a_filled_in_value_are_literal() {
    for (folder, extension) in [("", ".wav"), ("in [1]/", "")] {
        let pattern = format!("{}*{extension}", folder.replace("[1]", "[[]1]"));
        let site = TempSite::with(&format!(
            "queues:\n  q:\n    - id: encode\n      for_each: {{glob: '{pattern}'}}\n      sources: '${{item}}'\n      \
             outputs: ['out/${{item.stem}}.mp3', '{{out,no}}/${{item.stem}}.mp3']\n      run: |\n        \
             echo \"$SETLIST_ITEM\" >> calls\n        cp \"./$SETLIST_ITEM\" \"out/$SETLIST_ITEM_STEM.mp3\"\n",
        ));
        fs::create_dir_all(site.join("out")).unwrap();
        fs::create_dir_all(site.join(folder)).unwrap();
        let file = |name: &str| format!("{folder}{name}{extension}");
        let mut files: Vec<String> = ODD_NAMES.iter().map(|name| file(name)).collect();
        files.sort();
        for path in &files {
            site.write(path, "1");
        }
        assert_eq!(encoded(&site), files, "all are new");
        assert_eq!(encoded(&site), Vec::<String>::new(), "all are up to date");
        for (nth, name) in ODD_NAMES.iter().enumerate() {
            site.write(&file(name), &format!("changed {nth}"));
            let next = ODD_NAMES[(nth + 1) % ODD_NAMES.len()];
            fs::remove_file(site.join(&format!("out/{next}.mp3"))).unwrap();
            if next == "a [1]" {
                let list = site.ok(&["list", "q", "--json"]);
                let mut jobs = list.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
                let job = jobs.find(|job| job["parameters"]["item"] == json!(file(next))).unwrap();
                let job_name = format!("q/{}", job["name"].as_str().unwrap());
                let explained = site.ok(&["explain", &job_name]);
                assert!(explained.contains("missing out/a [1].mp3"), "{explained}");
                let shown = site.ok(&["show", &job_name]);
                assert!(shown.contains(&format!("sources   {}\n", file(next))), "{shown}");
            }
            let mut expected = [file(name), file(next)];
            expected.sort();
            assert_eq!(encoded(&site), expected, "one file was changed, the output of another was removed");
        }
        assert_eq!(encoded(&site), Vec::<String>::new());
    }
}

#[test]
fn the_wildcards_in_a_value_of_a_matrix_are_literal() {
    let site = TempSite::with(
        "queues:\n  q:\n    - id: copy\n      matrix: {name: ['!d', '[x]', 'x{a', '[dir]']}\n      \
         sources: ['${matrix.name}', '!${matrix.name}/tmp']\n      outputs: 'out/${matrix.name}'\n      \
         command: [sh, -c, 'echo \"$1\" >> calls; cp -r \"./$1\" \"out/\"', sh, '${matrix.name}']\n",
    );
    for folder in ["out", "[dir]"] {
        fs::create_dir(site.join(folder)).unwrap();
    }
    let checked = site.run(&["check"]);
    let output = format!("{}{}", checked.stdout, checked.stderr);
    assert!(output.contains("no file matches the source [x]"), "{output}");
    for file in ["!d", "[x]", "x{a", "x", "[dir]/file", "[dir]/tmp"] {
        site.write(file, "1");
    }
    assert_eq!(encoded(&site).len(), 4);
    site.write("[dir]/tmp", "left out");
    site.write("x", "the source of no job");
    assert_eq!(encoded(&site), Vec::<String>::new());
    site.write("[dir]/file", "changed");
    site.write("!d", "changed");
    assert_eq!(encoded(&site), ["!d", "[dir]"]);
}

#[test]
fn the_name_of_an_entry_means_all_of_its_jobs_and_one_where_one_is_needed() {
    let site = site_with(&["a.mp4", "b.mp4"]);
    site.ok(&["process", "films", "--quiet"]);
    calls(&site);
    site.ok(&["reset", "films/encode"]);
    let pending = |states: Vec<(String, String)>| states.into_iter().filter(|(_, state)| state == "pending").count();
    assert_eq!(pending(states(&site)), 2);
    site.ok(&["cancel", "encode"]);
    assert_eq!(pending(states(&site)), 0);
    site.ok(&["retry", "films/encode"]);
    site.ok(&["wait", "films/encode"]);
    assert_eq!(calls(&site), ["in/a.mp4", "in/b.mp4"]);
    for command in ["show", "explain"] {
        let output = site.run(&[command, "films/encode"]);
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(output.stderr.contains("2 jobs: films/encode[a.mp4], films/encode[b.mp4]"), "{output:?}");
    }
    let unknown = site.run(&["retry", "films/encod"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
}
