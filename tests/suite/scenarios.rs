//! Typical usage scenarios in virtual time, with the timeline that users see.

mod simulation;

use insta::assert_snapshot;

use simulation::Simulation;

#[test]
fn a_failed_nightly_queue_is_rerun_in_the_morning() {
    let night = Simulation::new(
        "
queues:
  nightly:
    jobs:
      - {id: backup, run: ./backup.sh, retry: {max: 2, delay: 30s}}
      - {id: report, run: ./report.sh, needs: [backup]}
      - {id: alarm, run: ./alarm.sh, needs: [{job: backup, on: failure}]}
      - {id: tidy, run: ./tidy.sh, needs: [{job: report, on: finish}, {job: alarm, on: finish}]}
",
    );
    let night = night.job("nightly/backup", &["5m exit 1", "5m exit 1", "5m timeout", "20m ok"]);
    let night = night.at("1h", "process nightly").at("8h", "run nightly/backup");
    assert_snapshot!(night.run(), @r"
    at 1h
        > process nightly
        nightly/backup starts
        nightly (processing): running backup; pending report [needs backup], alarm [needs backup], tidy [needs report +1]
    at 1h 5m
        nightly/backup failed: exit code 1
        nightly (processing): pending backup [attempt 2/3 in 30s], report [needs backup], alarm [needs backup], tidy [needs report +1]
    at 1h 5m 30s
        nightly/backup starts (run 2)
        nightly (processing): running backup; pending report [needs backup], alarm [needs backup], tidy [needs report +1]
    at 1h 10m 30s
        nightly/backup failed: exit code 1
        nightly (processing): pending backup [attempt 3/3 in 1m], report [needs backup], alarm [needs backup], tidy [needs report +1]
    at 1h 11m 30s
        nightly/backup starts (run 3)
        nightly (processing): running backup; pending report [needs backup], alarm [needs backup], tidy [needs report +1]
    at 1h 16m 30s
        nightly/backup failed: timed out
        nightly/report skipped: needs nightly/backup, which failed
        nightly/alarm starts
        nightly (processing): running alarm; pending tidy [needs alarm]
    at 1h 17m 30s
        nightly/alarm succeeded
        nightly/tidy starts
        nightly (processing): running tidy
    at 1h 18m 30s
        nightly/tidy succeeded
        nightly becomes idle
    at 8h
        > run nightly/backup
        nightly/backup is pending again
        nightly/backup starts (run 4)
        nightly (idle): running backup
    at 8h 20m
        nightly/backup succeeded
        nightly/report is pending again
        nightly/report starts
        nightly (idle): running report
    at 8h 21m
        nightly/report succeeded
    ");
}

#[test]
fn retries_back_off_while_a_service_is_busy() {
    let calls = Simulation::new(
        "
queues:
  sync:
    jobs:
      - {id: fetch, run: ./fetch.sh, retry: {max: 5, delay: 2s, backoff: 3, max_delay: 20s, on: [75]}}
      - {id: store, run: ./store.sh}
",
    );
    // Exit code 75 means "try again later" and is retried; any other is final.
    let calls = calls.job("sync/fetch", &["1s exit 75", "1s exit 75", "1s exit 75", "1s exit 75", "1s exit 1"]);
    let calls = calls.job("sync/store", &["1s ok"]).at("0s", "process sync");
    let calls = calls.at("20s", "pause sync").at("2m", "process sync");
    assert_snapshot!(calls.run(), @r"
    at 0s
        > process sync
        sync/fetch starts
        sync (processing): running fetch; pending store [next]
    at 1s
        sync/fetch failed: exit code 75
        sync/store starts
        sync (processing): running store; pending fetch [attempt 2/6 in 2s]
    at 2s
        sync/store succeeded
        sync (processing): pending fetch [attempt 2/6 in 1s]
    at 3s
        sync/fetch starts (run 2)
        sync (processing): running fetch
    at 4s
        sync/fetch failed: exit code 75
        sync (processing): pending fetch [attempt 3/6 in 6s]
    at 10s
        sync/fetch starts (run 3)
        sync (processing): running fetch
    at 11s
        sync/fetch failed: exit code 75
        sync (processing): pending fetch [attempt 4/6 in 18s]
    at 20s
        > pause sync
        sync (paused): pending fetch [attempt 4/6 in 9s]
    at 2m
        > process sync
        sync/fetch starts (run 4)
        sync (processing): running fetch
    at 2m 1s
        sync/fetch failed: exit code 75
        sync (processing): pending fetch [attempt 5/6 in 20s]
    at 2m 21s
        sync/fetch starts (run 5)
        sync (processing): running fetch
    at 2m 22s
        sync/fetch failed: exit code 1
        sync becomes idle
    ");
}

#[test]
fn a_release_needs_approval_before_it_is_published() {
    let release = Simulation::new(
        "
queues:
  release:
    on_failure: stop
    jobs:
      - {id: build, run: make}
      - {id: publish, run: make publish, needs: [build], confirm: 'Publish for everybody?'}
      - {id: announce, run: make announce, needs: [publish]}
",
    );
    let release = release.job("release/publish", &["2m exit 1", "2m ok"]).at("0s", "process release");
    // Not approved yet.
    let release = release.at("10m", "process release");
    let release = release.at("30m", "approve release/publish");
    // After the failure, the next attempt needs approval again.
    let release = release.at("40m", "process release");
    let release = release.at("41m", "approve release/publish");
    assert_snapshot!(release.run(), @r"
    at 0s
        > process release
        release/build starts
        release (processing): running build; pending publish [needs build], announce [needs publish]
    at 1m
        release/build succeeded
        release (processing): pending publish [needs approval], announce [needs publish]
    at 10m
        > process release
        release is already processing
        release (processing): pending publish [needs approval], announce [needs publish]
    at 30m
        > approve release/publish
        release/publish starts
        release (processing): running publish; pending announce [needs publish]
    at 32m
        release/publish failed: exit code 1; stays pending
        release stops
        release (stopped): pending publish [needs approval], announce [needs publish]
    at 40m
        > process release
        release (processing): pending publish [needs approval], announce [needs publish]
    at 41m
        > approve release/publish
        release/publish starts (run 2)
        release (processing): running publish; pending announce [needs publish]
    at 43m
        release/publish succeeded
        release/announce starts
        release (processing): running announce
    at 44m
        release/announce succeeded
        release becomes idle
    ");
}

#[test]
fn a_need_on_a_matrix_requires_all_its_jobs() {
    let matrix = Simulation::new(
        r#"
queues:
  ci:
    parallel: 3
    jobs:
      - {id: test, run: "./test $os $level", matrix: {os: [linux, mac], level: [fast, slow]}}
      - {id: publish, run: ./publish, needs: [test]}
"#,
    );
    let matrix = matrix.job("ci/test-linux-slow", &["10m ok"]).job("ci/test-mac-fast", &["2m exit 3", "2m ok"]);
    let matrix = matrix.at("0s", "process ci").at("1h", "run ci/test-mac-fast");
    assert_snapshot!(matrix.run(), @r"
    at 0s
        > process ci
        ci/test-linux-fast starts
        ci/test-linux-slow starts
        ci/test-mac-fast starts
        ci (processing): running test-linux-fast, test-linux-slow, test-mac-fast; pending test-mac-slow [next], publish [needs test-linux-fast +3]
    at 1m
        ci/test-linux-fast succeeded
        ci/test-mac-slow starts
        ci (processing): running test-linux-slow, test-mac-fast, test-mac-slow; pending publish [needs test-linux-slow +2]
    at 2m
        ci/test-mac-fast failed: exit code 3
        ci/publish skipped: needs ci/test-mac-fast, which failed
        ci/test-mac-slow succeeded
        ci (processing): running test-linux-slow
    at 10m
        ci/test-linux-slow succeeded
        ci becomes idle
    at 1h
        > run ci/test-mac-fast
        ci/test-mac-fast is pending again
        ci/test-mac-fast starts (run 2)
        ci (idle): running test-mac-fast
    at 1h 2m
        ci/test-mac-fast succeeded
        ci/publish is pending again
        ci/publish starts
        ci (idle): running publish
    at 1h 3m
        ci/publish succeeded
    ");
}

#[test]
fn a_queue_waits_for_another_queue_until_it_stops() {
    let queues = Simulation::new(
        "
queues:
  build:
    on_failure: stop
    jobs:
      - {id: compile, run: make}
      - {id: package, run: make package, needs: [compile]}
  deploy:
    jobs:
      - {id: check, run: ./check.sh}
      - {id: ship, run: ./ship.sh, needs: [build/package, check]}
",
    );
    let queues = queues.job("build/compile", &["5m exit 2", "5m ok"]);
    let queues = queues.at("0s", "process build").at("0s", "process deploy").at("10m", "process deploy");
    // A queue that waits for a paused queue keeps waiting.
    let queues = queues.at("20m", "process build").at("20m", "process deploy");
    let queues = queues.at("21m", "pause build").at("60m", "process build");
    assert_snapshot!(queues.run(), @r"
    at 0s
        > process build
        > process deploy
        build/compile starts
        deploy/check starts
        build (processing): running compile; pending package [needs compile]
        deploy (processing): running check; pending ship [needs build/package +1]
    at 1m
        deploy/check succeeded
        build (processing): running compile; pending package [needs compile]
        deploy (processing): pending ship [needs build/package]
    at 5m
        build/compile failed: exit code 2; stays pending
        build stops
        deploy becomes idle
        build (stopped): pending compile [stopped], package [needs compile]
        deploy (idle): pending ship [needs build/package]
    at 10m
        > process deploy
        nothing in deploy can start: deploy/ship needs build/package
        build (stopped): pending compile [stopped], package [needs compile]
        deploy (idle): pending ship [needs build/package]
    at 20m
        > process build
        > process deploy
        build/compile starts (run 2)
        build (processing): running compile; pending package [needs compile]
        deploy (processing): pending ship [needs build/package]
    at 21m
        > pause build
        build (paused): running compile; pending package [needs compile]
        deploy (processing): pending ship [needs build/package]
    at 25m
        build/compile succeeded
        build (paused): pending package [paused]
        deploy (processing): pending ship [needs build/package]
    at 1h
        > process build
        build/package starts
        build (processing): running package
        deploy (processing): pending ship [needs build/package]
    at 1h 1m
        build/package succeeded
        build becomes idle
        deploy/ship starts
        deploy (processing): running ship
    at 1h 2m
        deploy/ship succeeded
        deploy becomes idle
    ");
}

#[test]
fn interrupted_jobs_are_retried_if_the_file_says_so() {
    let death = Simulation::new(
        "
queues:
  data:
    parallel: 4
    jobs:
      - {id: import, run: ./import.sh, weight: 2, retry: {max: 3, delay: 10s, on: [interrupted]}}
      - {id: mail, run: ./mail.sh}
      - {id: index, run: ./index.sh, weight: 9, needs: [import]}
      - {id: urgent, run: ./urgent.sh, priority: 5}
      - {id: count, run: ./count.sh, needs: [{job: mail, on: finish}]}
",
    );
    let death = death.job("data/import", &["5m dies", "3m ok"]).job("data/mail", &["6m ok"]);
    let death = death.at("0s", "process data").at("30m", "run data/mail").at("31m", "cancel data/mail");
    assert_snapshot!(death.run(), @r"
    at 0s
        > process data
        data/urgent starts
        data/import starts
        data/mail starts
        data (processing): running urgent, import, mail; pending index [needs import], count [needs mail]
    at 1m
        data/urgent succeeded
        data (processing): running import, mail; pending index [needs import], count [needs mail]
    at 5m
        the worker dies
        data/import interrupted
        data/mail interrupted
        data/count starts
        data (processing): running count; pending import [attempt 2/4 in 10s], index [needs import]
    at 5m 10s
        data/import starts (run 2)
        data (processing): running count, import; pending index [needs import]
    at 6m
        data/count succeeded
        data (processing): running import; pending index [needs import]
    at 8m 10s
        data/import succeeded
        data/index starts
        data (processing): running index
    at 9m 10s
        data/index succeeded
        data becomes idle
    at 30m
        > run data/mail
        data/mail is pending again
        data/mail starts (run 2)
        data (idle): running mail
    at 31m
        > cancel data/mail
        data/mail cancelled
    ");
}

#[test]
fn scheduled_jobs_start_when_due() {
    let evening = Simulation::new(
        "
queues:
  evening:
    jobs:
      - {id: lights, run: ./lights.sh, after: 1970-01-01T22:00:00Z}
      - {id: heating, run: ./heating.sh, after: 2h}
      - {id: doors, run: ./doors.sh, needs: [heating], after: 30m}
",
    );
    let evening = evening.at("1h", "process evening").at("3h", "reset evening/doors").at("4h", "run evening/lights");
    assert_snapshot!(evening.run(), @r"
    at 1h
        > process evening
        evening (processing): pending lights [in 21h], heating [in 1h], doors [needs heating]
    at 2h
        evening/heating starts
        evening (processing): running heating; pending lights [in 20h], doors [needs heating]
    at 2h 1m
        evening/heating succeeded
        evening/doors starts
        evening (processing): running doors; pending lights [in 19h 59m]
    at 2h 2m
        evening/doors succeeded
        evening (processing): pending lights [in 19h 58m]
    at 3h
        > reset evening/doors
        evening/doors is pending again
        evening (processing): pending lights [in 19h], doors [in 30m]
    at 3h 30m
        evening/doors starts (run 2)
        evening (processing): running doors; pending lights [in 18h 30m]
    at 3h 31m
        evening/doors succeeded
        evening (processing): pending lights [in 18h 29m]
    at 4h
        > run evening/lights
        evening/lights is pending again
        evening/lights starts
        evening (processing): running lights
    at 4h 1m
        evening/lights succeeded
        evening becomes idle
    ");
}

#[test]
fn a_heavy_job_waits_for_free_slots_and_is_not_overtaken() {
    let disk = Simulation::new(
        "
queues:
  disk:
    parallel: 3
    jobs:
      - {id: copy, run: ./copy.sh}
      - {id: index, run: ./index.sh}
      - {id: check, run: ./check.sh, weight: 3, priority: 2}
      - {id: list, run: ./list.sh}
      - {id: mail, run: ./mail.sh, priority: 1}
",
    );
    // One job is running and two slots are free, but the job with the highest priority needs three.
    let disk = disk.job("disk/copy", &["3m ok"]).job("disk/check", &["10m ok"]);
    let disk = disk.at("0s", "run disk/copy").at("1m", "process disk");
    assert_snapshot!(disk.run(), @r"
    at 0s
        > run disk/copy
        disk/copy is pending again
        disk/copy starts
        disk (idle): running copy; pending check, mail, index, list
    at 1m
        > process disk
        disk (processing): running copy; pending check [next], mail [next], index [next], list [next]
    at 3m
        disk/copy succeeded
        disk/check starts
        disk (processing): running check; pending mail [next], index [next], list [next]
    at 13m
        disk/check succeeded
        disk/mail starts
        disk/index starts
        disk/list starts
        disk (processing): running mail, index, list
    at 14m
        disk/mail succeeded
        disk/index succeeded
        disk/list succeeded
        disk becomes idle
    ");
}
