//! What a run used is measured: processor time, peak memory, and what it read and wrote.

use serde_json::Value;

use crate::temp_site::TempSite;

#[test]
fn each_run_has_what_it_used() {
    let site = TempSite::with(
        "\
queues:
  q:
    - {id: large, run: 'head -c 150000000 /dev/zero | tail > /dev/null; sleep 0.1'}
    - {id: busy, run: 'i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done'}
    - {id: small, run: 'true'}
    - {id: missing, command: [no-such-program]}
    - {id: failed, run: exit 3}
",
    );
    site.run(&["process", "--quiet"]);
    let usage = |name: &str| site.job(name)["usage"].clone();
    let large = usage("q/large");
    let peak = large["peak_memory"].as_u64().unwrap();
    assert!((140_000_000..400_000_000).contains(&peak), "that of the largest descendant: {large}");
    assert_eq!(large["peak_memory_exact"], true, "{large}");
    assert!(large["read_bytes"].is_u64() && large["written_bytes"].is_u64(), "{large}");
    let busy = usage("q/busy");
    assert!(busy["user_ms"].as_u64().unwrap() >= 10, "{busy}");
    // The kernel counts the memory that it shared with the worker before it was another program.
    let small = usage("q/small");
    assert!(small["peak_memory"].as_u64().unwrap() > 0 && small["peak_memory_exact"] == false, "{small}");
    assert_eq!(usage("q/missing"), Value::Null, "there was no process");
    assert!(usage("q/failed")["user_ms"].is_u64());
    assert_eq!(site.job("q/large")["runs"][0]["usage"], large, "of each run");
    let show = site.ok(&["show", "q/large"]);
    assert!(show.lines().any(|line| line.starts_with("  used      ") && line.contains(" CPU (")), "{show}");
    assert!(site.ok(&["show", "q/small"]).contains(" at most "), "an upper bound is called one");
}

#[test]
fn a_stopped_run_and_its_descendants_are_measured_too() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: late, timeout: 300ms, run: 'head -c 150000000 /dev/zero | tail > /dev/null; sleep 60'}\n",
    );
    // A busy machine may take longer than the timeout to start it; then there is less to measure.
    site.run(&["process", "--quiet"]);
    let job = site.job("q/late");
    assert_eq!(job["cause"]["kind"], "timed_out");
    assert!(job["usage"]["peak_memory"].is_u64(), "{job}");
}
