//! `setlist report`: what happened, as text, a page, `JUnit` XML and a trace.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, lchown, symlink};
use std::path::PathBuf;
use std::process::Command;

use chrono::{TimeDelta, Utc};
use serde_json::Value;
use setlist::definition;
use setlist::model::Command as SiteCommand;
use setlist::store::{SqliteStore, StateDir, Store};

use crate::temp_site::TempSite;

const SITE: &str = r#"
secrets: [TOKEN]
queues:
  build:
    env: {TOKEN: s3cr3t-token}
    jobs:
      - {id: fine, run: 'echo good'}
      - {id: broken, title: '<script>alert("x & y")</script>', run: 'for i in 1 2 3; do echo "line $i <b> ]]>"; done; echo "the token is $TOKEN" >&2; exit 3'}
      - {id: after, needs: broken, run: 'true'}
      - {id: later, run: 'test -e flag'}
  other:
    title: Other
    jobs:
      - {id: missing, command: [no-such-program]}
"#;

/// A site in which five jobs have finished; of `build/later`, the second run succeeded.
fn processed() -> TempSite {
    let site = TempSite::with(SITE);
    for queue in ["build", "other"] {
        assert_eq!(site.run(&["process", queue, "--quiet"]).code, Some(1));
    }
    site.write("flag", "");
    site.ok(&["retry", "build/later"]);
    site.ok(&["wait", "build/later"]);
    site
}

/// The elements of a document with their attributes as written; fails where it is not well-formed XML.
#[track_caller]
fn elements(xml: &str) -> Vec<(String, String)> {
    let (mut open, mut found) = (Vec::new(), Vec::new());
    let body = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").expect("a declaration");
    let mut rest = body;
    while let Some((text, tag)) = rest.split_once('<') {
        assert!(!text.contains("]]>"), "{text}");
        for entity in text.split('&').skip(1) {
            assert!(["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|known| entity.starts_with(known)), "{entity}");
        }
        let (tag, after) = tag.split_once('>').expect("the end of a tag");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let is_empty = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert_eq!(attributes.matches('"').count() % 2, 0, "{attributes}");
        found.push((name.to_owned(), attributes.to_owned()));
        if !is_empty {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    assert!(xml.chars().all(|character| !character.is_control() || character == '\n'));
    found
}

#[test]
fn the_text_says_what_failed_why_and_what_was_slow() {
    let site = processed();
    let text = site.ok(&["report"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("(1d)") && lines[0].ends_with("jobs.yaml"), "{text}");
    assert_eq!(lines[1], "6 runs: 2 succeeded, 3 failed, 1 skipped", "{text}");
    for line in [
        "QUEUE    RUNS  SUCCEEDED  FAILED    SKIPPED  PENDING  RUN TIME",
        "failures (3)",
        "      │ line 3 <b> ]]>",
        "      │ the token is •••",
    ] {
        assert!(lines.contains(&line), "{line}: {text}");
    }
    let line_with = |word: &str| lines.iter().find(|line| line.contains(word)).copied().unwrap_or_default();
    assert!(line_with("first failure").contains("build/broken  run 1  exit code 3"), "{text}");
    assert!(line_with("slowest").contains("run "), "{text}");
    assert!(line_with("(succeeded later)").contains("  build/later  run 1  exit code 1"), "{text}");
    assert!(text.contains("  other/missing  run 1  command not found: no-such-program"), "{text}");
    assert!(!text.contains("searched"), "the folders of PATH are in `show`: {text}");
    assert!(!text.contains("s3cr3t"), "{text}");
    let one = site.ok(&["report", "other"]);
    assert!(one.contains("1 run: 1 failed") && !one.contains("build/"), "{one}");
    let unknown = site.run(&["report", "biuld"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("there is no queue"), "{unknown:?}");
}

#[test]
fn many_failures_are_listed_once_for_each_job_with_how_to_see_the_rest() {
    let site = TempSite::with(
        "queues:\n  q: {on_failure: continue, parallel: 4, jobs: [{id: n, for_each: 1..22, run: exit 4}]}\n  shaky: [{id: again, run: exit 5, retry: {max: 2, delay: 0s}}]\n",
    );
    site.run(&["process", "--quiet"]);
    let text = site.ok(&["report", "shaky"]);
    assert!(
        text.contains("\nfailures (3 runs)\n") && text.contains("again  run 1  exit code 5  (3 runs failed)"),
        "{text}"
    );
    let first = text.lines().find(|line| line.starts_with("first failure")).unwrap_or_default();
    assert!(first.ends_with("again  run 1  exit code 5  (3 runs failed)"), "{text}");
    let text = site.ok(&["report"]);
    let listed = text.lines().filter(|line| line.ends_with("exit code 4")).count();
    // One of them is the first failure.
    assert!((20..=21).contains(&listed), "{text}");
    assert!(text.contains("more failures: `setlist report --json` or `--html FILE` lists them\n"), "{text}");
}

#[test]
fn runs_that_ended_before_are_left_out() {
    let site = processed();
    let text = site.ok(&["report", "--since", "0s"]);
    assert!(text.contains("\n0 runs\n") && text.contains("--since reaches further back"), "{text}");
    assert!(!text.contains("failures"), "{text}");
    assert!(site.ok(&["report", "--since", "90y"]).contains("6 runs"));
}

#[test]
fn json_has_the_same_in_one_object() {
    let site = processed();
    let report: Value = serde_json::from_str(&site.ok(&["report", "--json"])).unwrap();
    assert_eq!((&report["runs"]["failed"], &report["failure_count"]), (&3.into(), &3.into()));
    let first = &report["failures"][0];
    assert_eq!((&first["job"], &first["succeeded_later"]), (&"build/broken".into(), &false.into()));
    assert_eq!(first["last_lines"][2], "line 3 <b> ]]>");
    assert_eq!(report["queues"][1]["queue"], "other");
}

#[test]
fn the_page_is_complete_in_itself_and_escapes_everything() {
    let site = processed();
    assert_eq!(site.ok(&["report", "--html", "report.html"]), "");
    let page = site.read("report.html");
    assert_eq!(page, {
        // Standard output has the same, but for the time at which it was made.
        let again = site.ok(&["report", "--html", "-"]);
        assert_eq!(again.lines().count(), page.lines().count());
        page.clone()
    });
    for foreign in ["<script", "http:", "https:", "src=", "url(", "@import", "s3cr3t", "<b> ]]>"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for part in [
        "<title>Setlist: 6 runs: 2 succeeded, 3 failed, 1 skipped</title>",
        "prefers-color-scheme:dark",
        "&lt;script&gt;alert(&quot;x &amp; y&quot;)&lt;/script&gt;",
        "line 3 &lt;b&gt; ]]&gt;",
        "the token is •••",
        "<svg id=\"timeline\"",
        "<rect class=\"bar succeeded\"",
        "<rect class=\"bar failed\"",
        "✓ succeeded later",
        "<svg class=\"trend\"",
        "<h2>Failures (3)</h2>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // Each bar of a failure leads to its description.
    let links: Vec<&str> = page.split("<a href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(links.len() >= 3 && links.iter().all(|link| page.contains(&format!("id=\"{link}\""))), "{links:?}");
}

#[test]
fn a_file_is_replaced_as_a_whole_and_no_link_of_another_user_is_followed() {
    let site = processed();
    site.write("own.html", "before");
    symlink("own.html", site.join("link.html")).unwrap();
    site.ok(&["report", "--html", "link.html"]);
    assert!(site.read("own.html").starts_with("<!doctype html>"), "the link of the user is followed");
    assert!(site.join("link.html").is_symlink());
    std::fs::create_dir(site.join("folder")).unwrap();
    let refused = site.run(&["report", "--html", "folder"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("cannot write folder: not a regular file"), "{refused:?}");
    let nowhere = site.run(&["report", "--junit", "no/such/folder.xml"]);
    assert!(nowhere.stderr.contains("cannot write no/such/folder.xml"), "{nowhere:?}");
    let twice = site.run(&["report", "--html", "-", "--junit", "-"]);
    assert!(twice.code == Some(2) && twice.stderr.contains("only one of"), "{twice:?}");
    let left: Vec<_> = std::fs::read_dir(site.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".new")), "{left:?}");
    symlink("own.html", site.join("foreign.html")).unwrap();
    if lchown(site.join("foreign.html"), Some(54_321), None).is_err() {
        eprintln!("SKIPPED: only root can make a link of another user");
        return;
    }
    let before = site.join("own.html").metadata().unwrap().ino();
    let refused = site.run(&["report", "--html", "foreign.html"]);
    assert!(refused.stderr.contains("it is a link of another user"), "{refused:?}");
    assert_eq!(site.join("own.html").metadata().unwrap().ino(), before);
}

#[test]
fn junit_has_a_case_for_the_last_run_of_each_job() {
    let site = processed();
    site.ok(&["report", "--junit", "results.xml"]);
    let xml = site.read("results.xml");
    let elements = elements(&xml);
    let of = |name: &str| -> Vec<&str> {
        elements.iter().filter(|(element, _)| element == name).map(|(_, attributes)| attributes.as_str()).collect()
    };
    assert!(of("testsuites")[0].contains(r#"tests="5" failures="2" errors="0" skipped="1""#), "{xml}");
    assert_eq!(of("testsuite").len(), 2);
    assert!(of("testsuite")[0].starts_with(r#"name="build" tests="4" failures="1" errors="0" skipped="1""#), "{xml}");
    let names: Vec<&str> = of("testcase").iter().filter_map(|case| case.split('"').nth(1)).collect();
    assert_eq!(names, ["fine", "broken", "after", "later", "missing"]);
    assert!(of("failure")[0].starts_with(r#"message="exit code 3"#), "{xml}");
    assert!(xml.contains("line 3 &lt;b&gt; ]]&gt;\nthe token is •••</failure>"), "{xml}");
    assert_eq!(of("skipped").len(), 1);
    let time = |attributes: &&str| attributes.split("timestamp=\"").nth(1).unwrap().trim_end_matches('"').to_owned();
    let first = of("testcase")[..4].iter().map(time).min().unwrap();
    assert_eq!(time(&of("testsuite")[0]), first, "a suite starts with its first run: {xml}");
}

#[test]
fn hostile_names_and_output_remain_text() {
    let site = TempSite::with(
        r#"
queues:
  "q<b>\"&'x":
    - id: "a<i>&\"'="
      title: "\"><script>alert(1)</script>\u202e"
      run: |
        printf '\033]0;title\007\033[31m<img src=x onerror=alert(1)>\000\013\302\233\357\277\277\342\200\256\377\n'
        printf '</pre></article><script>alert(1)</script>]]></failure>&#0;\n\033[2J\033P unfinished'
        exit 1
"#,
    );
    assert_eq!(site.run(&["process", "--quiet"]).code, Some(1));
    let [page, xml, trace] = ["--html", "--junit", "--trace"].map(|option| site.ok(&["report", option, "-"]));
    let failures = elements(&xml).into_iter().filter(|(name, _)| name == "failure").count();
    assert_eq!(failures, 1, "{xml}");
    for foreign in ["<script", "<img", "<b>\"", "<i>", "]]>"] {
        assert!(!page.contains(foreign) && !xml.contains(foreign), "{foreign}: {page}{xml}");
    }
    for (text, expected) in [(&page, 1), (&xml, 1), (&trace, 0)] {
        let is_hidden =
            |character: char| character.is_control() && character != '\n' || "\u{202e}\u{ffff}".contains(character);
        assert!(!text.contains(is_hidden), "{text:?}");
        assert_eq!(text.matches("&lt;img src=x onerror=alert(1)&gt;").count(), expected, "{text}");
    }
    serde_json::from_str::<Value>(&trace).unwrap();
}

#[test]
fn the_timeline_counts_the_jobs_that_it_leaves_out() {
    let queues: Vec<String> = (0..32).map(|nth| format!("  q{nth}: ['true']\n")).collect();
    let site = TempSite::with(&format!("queues:\n{}", queues.concat()));
    site.ok(&["process", "--quiet"]);
    let page = site.ok(&["report", "--html", "-"]);
    assert!(page.contains("The timeline leaves out 2 jobs"), "{page}");
}

#[test]
fn the_trace_has_a_slice_for_each_run() {
    let site = processed();
    let trace: Value = serde_json::from_str(&site.ok(&["report", "--trace", "-"])).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events {
        let kind = event["cat"].as_str().or(event["name"].as_str()).unwrap();
        *counts.entry(kind).or_default() += 1;
        assert!(event["pid"].is_u64() && event["tid"].is_u64() && event["ts"].is_i64(), "{event}");
        assert!(event["ph"] != "X" || event["dur"].as_i64().unwrap() >= 0, "{event}");
    }
    assert_eq!((counts["process_name"], counts["thread_name"], counts["run"]), (2, 4, 5), "{counts:?}");
    let failed = events.iter().find(|event| event["args"]["outcome"] == "failed").unwrap();
    assert_eq!(failed["args"]["error"], "exit code 3: the token is •••");
}

#[test]
fn missed_schedules_are_reported() {
    let site = TempSite::with(
        "queues: {q: {schedule: {cron: TZ=UTC 0 2 * * *, missed: skip}, jobs: [{id: a, run: 'true'}]}}\n",
    );
    site.ok(&["list"]);
    let desired = definition::read(&site.join("jobs.yaml")).unwrap();
    let mut without = desired.clone();
    without.version = "without".to_owned();
    without.queues[0].settings.schedule = None;
    let mut store = SqliteStore::open(&StateDir::new(site.join(".setlist"))).unwrap();
    for desired in [without, desired] {
        let earlier = Utc::now() - TimeDelta::days(2);
        store.execute(&[SiteCommand::Reconcile(Box::new(desired))], earlier).unwrap().remove(0).unwrap();
    }
    store.execute(&[SiteCommand::PromoteDue], Utc::now()).unwrap().remove(0).unwrap();
    let text = site.ok(&["report", "--since", "3d"]);
    assert!(text.contains("\nmissed schedules (") && text.contains("  no worker was running\n"), "{text}");
    let page = site.ok(&["report", "--since", "3d", "--html", "-"]);
    assert!(page.contains("<h2>Missed schedules (") && page.contains("<td>no worker was running"), "{page}");
}

/// A browser that can be run without a screen.
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file())
}

#[test]
fn a_browser_shows_the_bars_and_the_failures() {
    let Some(browser) = browser() else {
        eprintln!("SKIPPED: there is no chromium in PATH");
        return;
    };
    let site = processed();
    site.ok(&["report", "--html", "report.html"]);
    let url = format!("file://{}", site.join("report.html").display());
    let profile = format!("--user-data-dir={}", site.join("profile").display());
    let args = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", &profile, "--dump-dom", &url];
    let output = Command::new(browser).args(args).env("HOME", site.path()).output().unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    // The parser has made elements of the bars and failures, and only text of what jobs print.
    assert_eq!(dom.matches("<rect class=\"bar failed\"").count(), 3, "{output:?}");
    assert_eq!(dom.matches("<rect class=\"bar succeeded\"").count(), 2, "{dom}");
    assert_eq!(dom.matches("<article id=\"run-").count(), 3, "{dom}");
    assert!(dom.contains("<p class=\"cause\">exit code 3") && !dom.contains("<script"), "{dom}");
}
