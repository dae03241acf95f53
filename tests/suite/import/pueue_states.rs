//! States of pueue, in the forms that its versions write.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::{import, refused};
use crate::temp_site::TempSite;

fn task(id: u64, command: &str, group: &str, dependencies: &[u64], status: &Value) -> Value {
    json!({
        "id": id, "created_at": "2026-07-18T14:55:02.656354132+02:00", "original_command": command,
        "command": command, "path": "/tmp", "envs": {"COLOR": "green", "TOKEN": "secret"}, "group": group,
        "dependencies": dependencies, "priority": 0, "label": null, "status": status,
    })
}

/// Version 4: every status is a map with times.
fn version_4(site: &TempSite) -> String {
    let at = "2026-07-18T14:55:02.656334442+02:00";
    let mut tasks = vec![
        task(
            0,
            "ls",
            "default",
            &[],
            &json!({"Done": {"enqueued_at": at, "start": at, "end": at, "result": "Success"}}),
        ),
        task(
            1,
            "ls x",
            "default",
            &[],
            &json!({"Done": {"enqueued_at": at, "start": at, "end": at, "result": {"Failed": 2}}}),
        ),
        task(2, "echo stashed", "default", &[], &json!({"Stashed": {"enqueue_at": null}})),
        task(3, "sleep 9000000", "default", &[], &json!({"Running": {"enqueued_at": at, "start": at}})),
        task(4, "echo \"$PWD\" | tr a-z A-Z; exit 0", "down loads", &[0], &json!({"Queued": {"enqueued_at": at}})),
        task(5, "echo after", "default", &[4, 1], &json!({"Queued": {"enqueued_at": at}})),
        task(6, "echo later", "default", &[], &json!({"Stashed": {"enqueue_at": "2036-01-01T00:00:00+01:00"}})),
        task(7, "echo ?", "default", &[], &json!({"Dreaming": {}})),
        task(
            8,
            "echo edited",
            "default",
            &[],
            &json!({"Locked": {"previous_status": {"Queued": {"enqueued_at": at}}}}),
        ),
    ];
    tasks[5]["priority"] = json!(7);
    tasks[5]["label"] = json!("After it");
    tasks[4]["path"] = json!(site.path());
    let tasks: serde_json::Map<_, _> = tasks.into_iter().map(|task| (task["id"].to_string(), task)).collect();
    let groups = json!({
        "default": {"status": "Paused", "parallel_tasks": 2},
        "down loads": {"status": "Running", "parallel_tasks": 0},
    });
    json!({"tasks": tasks, "groups": groups}).to_string()
}

#[test]
fn a_state_of_version_4_becomes_queues() {
    let site = TempSite::empty();
    let messages = import(&site, "pueue", &version_4(&site), &[]);
    for expected in [
        "input: 1 task that succeeded left out",
        "input: the environments of the tasks are left out",
        "input: group default is paused; `setlist pause default` does that here",
        "task 1: not carried over: it has failed; `--finished`",
        "task 2: it is stashed",
        "task 3: it is running, and starts from the beginning here",
        "task 5: its dependency 1 is not carried over",
        "task 7: not carried over: unknown status {\"Dreaming\":{}}",
        "task 8: it is being edited",
        "wrote 6 jobs to jobs.yaml; 3 not carried over, see above",
    ] {
        assert!(messages.contains(expected), "{expected}: {messages}");
    }
    let yaml = site.read("jobs.yaml");
    assert!(!yaml.contains("secret"), "{yaml}");
    assert!(yaml.contains("  default:\n    title: default\n    parallel: 2\n"), "{yaml}");
    site.ok(&["process", "down-loads"]);
    let shouted = format!("{}\n", site.path().display()).to_ascii_uppercase();
    assert_eq!(site.ok(&["log", "down-loads/task-4"]), shouted);
    let after = site.job("default/task-5");
    assert_eq!((&after["title"], &after["priority"]), (&json!("After it"), &json!(7)));
    assert_eq!(after["needs"], json!(["down-loads/task-4"]), "{after}");
    assert_eq!(site.job("default/task-2")["confirm"], json!("This task was stashed. Run it?"));
    assert_eq!(site.job("default/task-6")["not_before"], json!("2035-12-31T23:00:00.000Z"));
}

#[test]
fn a_state_of_version_3_becomes_queues() {
    let site = TempSite::empty();
    let mut tasks = vec![
        task(0, "ls", "default", &[], &json!({"Done": "Success"})),
        task(1, "ls x", "default", &[], &json!({"Done": {"Failed": 2}})),
        task(2, "echo stashed", "default", &[], &json!({"Stashed": {"enqueue_at": null}})),
        task(3, "echo paused", "default", &[], &json!("Paused")),
        task(4, "echo \"$COLOR $UNKNOWN\"", "default", &[0], &json!("Queued")),
    ];
    for task in &mut tasks {
        task["prev_status"] = json!("Queued");
        task["start"] = json!(null);
        task["end"] = json!(null);
    }
    let tasks: serde_json::Map<_, _> = tasks.into_iter().map(|task| (task["id"].to_string(), task)).collect();
    let state = json!({"tasks": tasks, "groups": {"default": {"status": "Running", "parallel_tasks": 1}}}).to_string();
    let messages = import(&site, "pueue", &state, &["--environments", "--finished"]);
    assert!(messages.contains("task 3: it is paused") && messages.contains("wrote 5 jobs"), "{messages}");
    let mode = std::fs::metadata(site.join("jobs.yaml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "environments may hold secrets");
    site.run(&["process", "default"]);
    let job = site.job("default/task-4");
    assert_eq!(job["needs"], json!(["default/task-0"]), "{job}");
    site.ok(&["retry", "default/task-4", "--force"]);
    site.ok(&["wait", "default/task-4"]);
    assert_eq!(site.ok(&["log", "default/task-4"]), "green \n");
}

#[test]
fn a_state_before_version_2_has_groups_without_settings() {
    let site = TempSite::empty();
    let tasks = json!({"0": task(0, "echo old", "default", &[], &json!("Queued"))});
    let state = json!({"settings": {}, "tasks": tasks, "groups": {"default": "Paused"}}).to_string();
    let messages = import(&site, "pueue", &state, &[]);
    assert!(messages.contains("group default is paused"), "{messages}");
}

#[test]
fn what_is_not_a_state_is_refused() {
    let site = TempSite::empty();
    let output = refused(&site, "pueue", "{\"a\": 1}", &[]);
    assert!(output.stderr.contains("input: this is not the state.json of pueue: missing field `tasks`"), "{output:?}");
    std::fs::write(site.join("state.json.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
    let output = site.run(&["import", "pueue", "state.json.gz"]);
    assert!(output.code == Some(2) && output.stderr.contains("gunzip -c"), "{output:?}");
    let output = refused(&site, "pueue", "{\"tasks\": {}, \"groups\": {}}", &[]);
    assert_eq!(output.stderr, "setlist: input: there is nothing to import\n");
}
