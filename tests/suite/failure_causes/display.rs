//! Where causes are shown.

use crate::temp_site::TempSite;

const JOBS: &str = "\
queues:
  q:
    on_finish: {run: 'echo \"$SETLIST_JOB $SETLIST_CAUSE ${SETLIST_CAUSE_TEXT-none}\" >> hooks'}
    jobs:
      - {id: full, title: Copy, command: [cp, jobs.yaml, /dev/full]}
      - {id: said, run: 'echo cannot open the door >&2; exit 3'}
      - {id: fine, run: 'true'}
";

fn processed() -> (TempSite, String) {
    let site = TempSite::with(JOBS);
    let output = site.run(&["process"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    (site, output.stdout)
}

#[test]
fn commands_show_the_cause() {
    let (site, processed) = processed();
    let full = "exit code 1: disk full: cp: error writing '/dev/full': No space left on device";
    let said = "exit code 3: cannot open the door";
    assert!(processed.contains(full) && processed.contains(said), "{processed}");
    let list = site.ok(&["list", "q"]);
    assert!(list.contains(&format!("Copy  ({full})\n")) && list.contains(&format!("  ({said})\n")), "{list}");
    assert!(list.lines().any(|line| line.ends_with("  true")), "{list}");
    let show = site.ok(&["show", "q/full"]);
    for part in [
        "  error     exit code 1\n",
        "  cause     disk full: cp: error writing '/dev/full': No space left on device\n",
        "  fix       Free space, then run the job again.\n",
        "  used      ",
    ] {
        assert!(show.contains(part), "{part}: {show}");
    }
    assert!(show.lines().any(|line| line.starts_with("  run  ") && line.ends_with(full)), "{show}");
    let show = site.ok(&["show", "q/said"]);
    assert!(show.contains("  cause     last error: cannot open the door\n") && !show.contains("  fix "), "{show}");
    assert!(!site.ok(&["show", "q/fine"]).contains("  cause"));
}

#[test]
fn the_log_of_a_failed_run_ends_with_the_cause_on_standard_error() {
    let (site, _) = processed();
    let log = site.run(&["log", "q/full"]);
    assert_eq!(log.code, Some(0));
    let printed = "cp: error writing '/dev/full': No space left on device";
    assert_eq!(log.stdout, format!("{printed}\n"), "standard output has only the output of the job");
    assert_eq!(log.stderr, format!("setlist: q/full failed: exit code 1: disk full: {printed}\n"));
    assert_eq!(site.run(&["log", "q/said"]).stderr, "", "its output says it");
    assert_eq!(site.run(&["log", "q/full", "--stderr"]).stderr, "");
    assert_eq!(site.run(&["log", "q/fine"]).stderr, "");
}

#[test]
fn hooks_get_the_cause() {
    let (site, _) = processed();
    let hooks = site.read("hooks");
    let mut hooks: Vec<&str> = hooks.lines().map(str::trim_end).collect();
    hooks.sort_unstable();
    assert_eq!(
        hooks,
        [
            "fine  none",
            "full disk_full disk full: cp: error writing '/dev/full': No space left on device",
            "said exited last error: cannot open the door",
        ]
    );
}
