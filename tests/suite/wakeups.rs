//! A worker never sleeps while a job is ready. Debug builds check that at every sleep; these tests cause cases.

use std::process::Stdio;

use crate::temp_site::{TempSite, wait_for};

#[test]
fn a_heavy_job_makes_room_for_several_light_ones() {
    let light = "      - {run: 'touch up-$SETLIST_JOB_ID; until [ -e go ]; do sleep 0.01; done'}\n".repeat(3);
    let site = TempSite::with(&format!(
        "queues:\n  q:\n    parallel: 3\n    jobs:\n      - {{run: 'sleep 0.2', weight: 3}}\n{light}"
    ));
    let mut process = site.command(&["process"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("all three to run at once", || (2..5).all(|id| site.join(&format!("up-{id}")).exists()).then_some(()));
    site.write("go", "");
    assert!(wait_for("the end", || process.try_wait().unwrap()).success());
}
