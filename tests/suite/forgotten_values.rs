//! Values that have left `jobs.yaml`, such as secrets in `env`, are not kept in the database.

use std::fs;

use super::temp_site::TempSite;

/// Whether any state file except the logs contains these bytes.
fn is_kept(site: &TempSite, value: &str) -> bool {
    let files = fs::read_dir(site.join(".setlist")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).any(|path| {
        let bytes = fs::read(path).unwrap();
        memchr::memmem::find(&bytes, value.as_bytes()).is_some()
    })
}

#[test]
fn values_of_env_are_forgotten_when_they_leave_the_file() {
    let file = |a: &str, b: &str| {
        format!("queues:\n  q:\n    jobs:\n      - {{id: a, run: 'true', env: {{TOKEN: {a}}}}}\n{b}")
    };
    let b = "      - {id: b, run: 'true', env: {TOKEN: of-the-pending-job}, after: 9h}\n";
    let site = TempSite::with(&file("the-first-token", b));
    site.ok(&["process", "--quiet", "--next"]);
    assert!(is_kept(&site, "the-first-token") && is_kept(&site, "of-the-pending-job"));
    site.write("jobs.yaml", &file("the-second-token", ""));
    site.ok(&["status"]);
    assert!(!is_kept(&site, "the-first-token"), "the definition has changed");
    assert!(!is_kept(&site, "of-the-pending-job"), "the job has left the file");
    assert!(is_kept(&site, "the-second-token"));
    site.write("jobs.yaml", &file("the-second-token", b));
    site.ok(&["status"]);
    assert!(is_kept(&site, "of-the-pending-job"), "it is back with its entry");
}
