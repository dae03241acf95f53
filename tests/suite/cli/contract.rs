//! The contract of `--json`, word for word: what each command prints, with times and places made equal.

use insta::assert_snapshot;
use serde_json::Value;

use crate::temp_site::TempSite;

const SITE: &str = "\
queues:
  build:
    title: Build
    parallel: 2
    jobs:
      - {id: lint, title: Lint, run: echo fine, tags: [quick]}
      - {id: test, run: 'echo bad >&2; exit 3', retry: {max: 1, delay: 1ms}}
      - {id: ship, command: [echo, 'two words'], needs: [test], priority: 5}
      - {id: ask, run: 'true', confirm: Really?}
  rest: ['true']
";

/// The output of a command, with what differs from run to run replaced.
fn normalized_output(site: &TempSite, args: &[&str]) -> String {
    let output = site.run(args);
    let mut lines = vec![format!("$ setlist {} => {}", args.join(" "), output.code.unwrap())];
    for line in output.stdout.lines() {
        let mut record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        normalize(&mut record, site);
        lines.push(record.to_string());
    }
    lines.join("\n")
}

fn normalize(value: &mut Value, site: &TempSite) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| normalize(item, site)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(_) if name.ends_with("_at") || name == "at" => *value = "TIME".into(),
                    Value::String(_) if name == "by" => *value = "USER".into(),
                    Value::Number(_) if name == "peak_memory" => *value = "BYTES".into(),
                    // Only known where a run has a cgroup.
                    _ if name.starts_with("tree_") => *value = "TREE".into(),
                    // Only known of a run that takes longer.
                    _ if name == "read_bytes" || name == "written_bytes" => *value = "BYTES".into(),
                    Value::Number(_) if name.ends_with("_ms") => *value = "MS".into(),
                    // One may be about to leave.
                    Value::Number(_) if name.starts_with("worker") => *value = "N".into(),
                    Value::String(text) if text.contains(site.path().to_str().unwrap()) => {
                        *value = text.replace(site.path().to_str().unwrap(), "HERE").into();
                    }
                    value => normalize(value, site),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn the_json_of_every_command_is_stable() {
    let site = TempSite::with(SITE);
    let commands: &[&[&str]] = &[
        &["check", "--json"],
        &["list", "--json"],
        &["set", "rest", "parallel=2", "--json"],
        &["approve", "--json"],
        &["process", "build", "--json"],
        &["status", "--json"],
        &["approve", "build/ask", "--json", "--refuse"],
        &["show", "build/test", "--json"],
        &["list", "--state", "failed", "--json"],
        &["add", "build", "--json", "--title", "Extra", "--", "true"],
        &["add", "rest", "--json", "--save", "--script", "echo saved"],
        &["move", "6", "--to", "rest", "--json"],
        &["move", "6", "--before", "rest/true", "--json"],
        &["reset", "build/lint", "--json"],
        &["cancel", "build/lint", "--json"],
        &["remove", "build/lint", "--json"],
        &["restore", "1", "--json"],
        &["retry", "build/lint", "--json"],
        &["wait", "build/lint", "--json"],
        &["wait", "build/test", "--json"],
        &["pause", "rest", "--json"],
        &["clear", "--pending", "rest", "--json"],
        &["resume", "rest", "--json"],
        &["wait", "rest", "--json"],
        &["clear", "--finished", "build", "--json"],
    ];
    let outputs: Vec<String> = commands.iter().map(|args| normalized_output(&site, args)).collect();
    site.write("bad.yaml", "queues:\n  q:\n    - {run: a, tiemout: 1m}\n");
    let bad = normalized_output(&site, &["check", "bad.yaml", "--json"]);
    insta::with_settings!({snapshot_path => "", prepend_module_to_snapshot => false, omit_expression => true}, {
        assert_snapshot!("json", outputs.join("\n") + "\n" + &bad);
    });
}
