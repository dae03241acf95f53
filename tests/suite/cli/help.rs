//! `setlist help WORD`: topics, commands, fields, and other words for these.

use crate::temp_site::TempSite;

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
