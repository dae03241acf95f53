//! `setlist help WORD`: topics, commands, fields, and other words for these.

use crate::temp_site::TempSite;
use crate::terminal::Terminal;

#[test]
fn every_field_of_the_file_is_explained() {
    let site = TempSite::empty();
    let schema: serde_json::Value = serde_json::from_str(&site.ok(&["schema"])).unwrap();
    let definitions = &schema["definitions"];
    let (job, queue) = (&definitions["job"], &definitions["queue"]);
    let names = |map: &serde_json::Value| -> Vec<String> {
        let properties =
            map.get("properties").or_else(|| map["anyOf"].as_array()?.iter().find_map(|one| one.get("properties")));
        properties.unwrap_or_else(|| panic!("no fields in {map}")).as_object().unwrap().keys().cloned().collect()
    };
    for field in [names(job), names(queue)].concat() {
        let help = site.ok(&["help", &field]);
        let is_command = help.contains("Usage: setlist");
        assert!(is_command || help.contains(&format!("`{field}")), "{field}:\n{help}");
    }
}

#[test]
fn other_words_lead_to_the_field_or_topic() {
    let site = TempSite::empty();
    for (word, found) in [
        ("approval", "`setlist approve`"),
        ("dependencies", "`needs`"),
        ("retries", "`interrupted: free`"),
        ("hooks", "has finished"),
        ("missed", "`missed`"),
    ] {
        let help = site.ok(&["help", word]);
        assert!(help.contains(found) && help.contains("(`setlist help "), "{word}:\n{help}");
    }
    assert_eq!(site.ok(&["help", "store", "copy"]), site.ok(&["store", "copy", "--help"]));
    let unknown = site.run(&["help", "store", "frobnicate"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("topic \"store frobnicate\""), "{unknown:?}");
    let unknown = site.run(&["help", "frobnicate"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("the topics are jobs.yaml, "), "{unknown:?}");
}

#[test]
fn the_end_of_help_is_wrapped_once() {
    const WIDTH: usize = 100;
    let site = TempSite::empty();
    let all = site.ok(&["help"]);
    let names = all.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    assert!(names.contains(&"grep") && names.contains(&"worker"), "{all}");
    for name in names {
        let help = site.ok(&[name, "--help"]);
        let (_, end) = help.split_once("  -h, --help").unwrap_or_else(|| panic!("{name}: {help}"));
        for paragraph in end.split("\n\n").skip(1) {
            let lines: Vec<&str> = paragraph.trim_end().lines().collect();
            if lines[0] == "Examples:" {
                assert!(lines[1..].iter().all(|line| line.contains("setlist")), "{name}: {paragraph}");
            } else if !lines[0].starts_with(' ') {
                for pair in lines.windows(2) {
                    let next = pair[1].split(' ').next().unwrap_or_default();
                    assert!(pair[0].len() + 1 + next.len() > WIDTH, "{name}: {paragraph}");
                }
            }
        }
    }
}

#[test]
fn topics_are_filled_to_the_width_of_a_terminal() {
    let site = TempSite::empty();
    for topic in ["monitoring", "conditions", "filters"] {
        let mut terminal = Terminal::open(&site, &["help", topic]);
        terminal.child.wait().unwrap();
        terminal.wait_until("all of it", |_| terminal.raw().lines().count() > 20);
        let raw = terminal.raw();
        // Examples keep their lines.
        let filled = raw.lines().map(str::trim_end).filter(|line| !line.starts_with("    "));
        let long: Vec<&str> = filled.filter(|line| line.chars().count() > 80).collect();
        assert!(long.is_empty(), "{topic}: {long:?}");
    }
}
