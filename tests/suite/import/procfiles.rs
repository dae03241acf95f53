//! Procfiles: their processes as jobs that run together.

use super::import;
use crate::temp_site::TempSite;

#[test]
fn a_procfile_becomes_a_queue_whose_jobs_run_together() {
    let site = TempSite::empty();
    site.write(".env", "COLOR=green\n");
    let procfile = "# The site\nweb: echo web $PORT $COLOR\nworker:   echo worker $PORT\n1: echo one\nweb: again\nno command:\n\
                    release: true\n";
    let messages = import(&site, "procfile", procfile, &[]);
    assert!(messages.contains("input:5: not carried over: there is a process `web` above"), "{messages}");
    assert!(messages.contains("input:6: not carried over: expected `NAME: COMMAND`"), "{messages}");
    assert!(messages.contains("input:7: Heroku runs `release` before"), "{messages}");
    let yaml = site.read("jobs.yaml");
    assert!(yaml.contains("    parallel: 4\n") && yaml.contains("      # The site\n      - id: web\n"), "{yaml}");
    site.ok(&["process", "app"]);
    assert_eq!(site.ok(&["log", "app/web"]), "web 5000 green\n");
    assert_eq!(site.ok(&["log", "app/worker"]), "worker 5100\n");
    assert_eq!(site.ok(&["log", "app/process-1"]), "one\n");
}

#[test]
fn processes_run_in_the_folder_of_their_procfile() {
    let site = TempSite::empty();
    std::fs::create_dir(site.join("app")).unwrap();
    site.write("app/Procfile", "web: pwd; echo $COLOR\n");
    site.write("app/.env", "COLOR=green\n");
    site.ok(&["import", "procfile", "app/Procfile", "-o", "jobs.yaml"]);
    site.ok(&["process", "app"]);
    let folder = site.join("app").canonicalize().unwrap();
    assert_eq!(site.ok(&["log", "app/web"]), format!("{}\ngreen\n", folder.display()));
}
