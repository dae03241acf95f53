//! What running jobs use now, seen by another process than their worker.

use serde_json::Value;

use crate::temp_site::TempSite;

#[test]
fn the_processes_of_a_running_job_are_measured_together() {
    let site = TempSite::with(
        r"
queues:
  q:
    parallel: 2
    jobs:
      - id: busy
        run: |
          echo started
          (setsid sh -c 'while [ ! -e go ]; do :; done' &) 
          until [ -e go ]; do sleep 0.05; done
      - {id: idle, run: 'until [ -e go ]; do sleep 0.05; done'}
",
    );
    site.ok(&["start", "q"]);
    let busy = site.wait_until("q/busy", |job| job["usage_now"]["cpu_ms"].as_u64().is_some_and(|cpu| cpu >= 100));
    let usage = &busy["usage_now"];
    // The shell, the one in another session, and sometimes a `sleep`.
    assert!(usage["processes"].as_u64().is_some_and(|count| count >= 2), "{usage}");
    assert!(usage["memory"].as_u64().is_some_and(|memory| memory > 64 << 10), "{usage}");
    assert_eq!(usage["output_bytes"], "started\n".len(), "{usage}");
    let list = site.ok(&["list", "q", "--json"]);
    let idle = list.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).find(|job| job["name"] == "idle");
    let idle = &idle.unwrap()["usage_now"];
    assert!(idle["processes"].as_u64().is_some_and(|count| count <= 2), "the other job is not counted: {idle}");
    site.write("go", "");
    site.ok(&["wait", "q"]);
    assert_eq!(site.job("q/busy")["usage_now"], Value::Null);
}
