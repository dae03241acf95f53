//! Whose files are trusted: the lines of the threat model in `src/store/trust.rs`.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::Value;

use super::temp_site::{CommandOutput, SETLIST, TempSite};

const ECHO: &str = "queues:\n  q: [\"echo harmless\"]\n";

/// A site whose state has a job that isn't in the file and that leaves a proof when it runs.
fn with_hidden_job() -> TempSite {
    let site = TempSite::with(ECHO);
    let proof = site.join("proof");
    site.ok(&["add", "q", "--cwd", "/", "--", "touch", proof.to_str().unwrap()]);
    site
}

/// Runs the program in another directory with the site's environment.
fn run_in(site: &TempSite, dir: &Path, args: &[&str]) -> CommandOutput {
    CommandOutput::from_output(&site.command(args).current_dir(dir).output().unwrap())
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// Copies the file and the state of a site to a directory below it.
fn clone(site: &TempSite) -> std::path::PathBuf {
    let clone = site.join("clone");
    fs::create_dir(&clone).unwrap();
    copy(&site.join("jobs.yaml"), &clone.join("jobs.yaml"));
    copy(&site.join(".setlist"), &clone.join(".setlist"));
    clone
}

#[track_caller]
fn refused(printed: &CommandOutput, words: &str) {
    assert_eq!(printed.code, Some(3), "{printed:?}");
    assert!(printed.stdout.is_empty() && printed.stderr.contains(words), "{words}: {printed:?}");
}

#[test]
fn copied_state_is_used_only_after_it_was_adopted() {
    let site = with_hidden_job();
    let clone = clone(&site);
    for args in [&["status"][..], &["list"], &["process"], &["add", "q", "--", "true"], &["worker", "--exit-when-idle"]]
    {
        let printed = run_in(&site, &clone, args);
        refused(&printed, "is a copy of");
        assert!(
            printed.stderr.contains("`setlist adopt`") && printed.stderr.contains("`setlist adopt --fresh`"),
            "{printed:?}"
        );
    }
    assert!(!site.join("proof").exists(), "no job of the copy has run");
    let asked = run_in(&site, &clone, &["adopt"]);
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert!(asked.stdout.contains("touch /") && asked.stderr.contains("--yes"), "{asked:?}");
    let adopted = run_in(&site, &clone, &["adopt", "--yes"]);
    assert_eq!(adopted.code, Some(0), "{adopted:?}");
    assert_eq!(run_in(&site, &clone, &["process"]).code, Some(0));
    assert!(site.join("proof").exists(), "it runs when it is asked for");
    let id = |dir: &Path| fs::read_to_string(dir.join(".setlist/id")).unwrap();
    assert_ne!(id(&clone), id(site.path()), "the adopted copy has an id of its own");
    site.ok(&["status"]);
}

#[test]
fn check_reads_nothing_of_a_copied_state() {
    let jobs = "queues: {q: [{id: list, run: 'echo \"[1, 2]\" >$SETLIST_VALUE'}, {id: use, for_each: {value: list}, run: echo}]}";
    let site = TempSite::with(jobs);
    site.ok(&["process", "--quiet"]);
    assert_eq!(site.ok(&["check"]), "jobs.yaml: 1 queue, 3 jobs\n");
    let clone = clone(&site);
    assert_eq!(run_in(&site, &clone, &["check"]).stdout, "jobs.yaml: 1 queue, 1 job\n");
    // Nor does it connect to the server that the copy names: the first connection is that of the test.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    fs::write(clone.join(".setlist/server"), format!("postgres://{address}/x?site=a\n")).unwrap();
    let first = thread::spawn(move || server.accept().unwrap().1);
    assert_eq!(run_in(&site, &clone, &["check"]).code, Some(0));
    let own = TcpStream::connect(address).unwrap();
    assert_eq!(first.join().unwrap(), own.local_addr().unwrap());
}

#[test]
fn copied_state_can_be_put_aside() {
    let site = with_hidden_job();
    let clone = clone(&site);
    let printed = run_in(&site, &clone, &["adopt", "--fresh"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let listed = run_in(&site, &clone, &["list", "--json"]);
    assert!(listed.stdout.contains("harmless") && !listed.stdout.contains("touch"), "{listed:?}");
    let aside = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with(".setlist.old-");
    assert!(fs::read_dir(&clone).unwrap().any(|entry| aside(entry.unwrap())), "the old state is kept");
}

#[test]
fn state_without_an_id_is_adopted_with_one_command() {
    let site = with_hidden_job();
    fs::remove_file(site.join(".setlist/id")).unwrap();
    refused(&site.run(&["status"]), "was made by an older version, or not here");
    site.ok(&["adopt", "--yes"]);
    assert!(site.ok(&["list"]).contains("touch"));
}

#[test]
fn adopt_says_why_there_is_nothing_to_adopt() {
    let site = TempSite::with(ECHO);
    let refused = |words: &str, code: i32| {
        let output = site.run(&["adopt"]);
        assert!(output.code == Some(code) && output.stderr.contains(words) && output.stdout.is_empty(), "{output:?}");
    };
    refused(".setlist does not exist", 2);
    fs::create_dir(site.join(".setlist")).unwrap();
    fs::set_permissions(site.join(".setlist"), fs::Permissions::from_mode(0o700)).unwrap();
    refused("has no database, and the next command creates one", 2);
    fs::set_permissions(site.join(".setlist"), fs::Permissions::from_mode(0o777)).unwrap();
    refused(".setlist can be written by other users, so this site is not used", 3);
    assert!(site.run(&["status"]).stderr.contains(".setlist can be written by other users, so this site is not used"));
    fs::set_permissions(site.join(".setlist"), fs::Permissions::from_mode(0o700)).unwrap();
    site.ok(&["status"]);
    let own = site.run(&["adopt"]);
    assert!(own.code == Some(0) && own.stderr.ends_with(".setlist was made here: nothing to adopt\n"), "{own:?}");
    for file in ["state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(site.join(".setlist").join(file));
    }
    site.write(".setlist/state.db", &"no database ".repeat(1000));
    refused("this state is damaged and can't be adopted: ", 2);
    refused("`setlist adopt --fresh` puts it aside and starts with an empty one", 2);
    site.ok(&["adopt", "--fresh"]);
    assert!(site.ok(&["list"]).contains("q/echo-harmless"));
}

#[test]
fn adopted_state_starts_nothing() {
    let site = TempSite::with("queues:\n  q: {parallel: 1, jobs: [\"sleep 60\", \"touch proof\"]}\n");
    let mut process = site.command(&["process"]).spawn().unwrap();
    site.wait_until("1", |job| job["state"] == "running");
    let clone = clone(&site);
    rustix::process::kill_process(site.worker_pid(), rustix::process::Signal::INT).unwrap();
    process.wait().unwrap();
    assert_eq!(run_in(&site, &clone, &["adopt", "--yes"]).code, Some(0));
    let status: Value = serde_json::from_str(&run_in(&site, &clone, &["status", "--json"]).stdout).unwrap();
    assert_eq!(status["state"], "idle", "{status}");
    let worked = run_in(&site, &clone, &["worker", "--exit-when-idle"]);
    assert_eq!(worked.code, Some(0), "{worked:?}");
    assert!(!clone.join("proof").exists(), "nobody has asked for it");
}

#[test]
fn a_moved_site_is_still_registered() {
    let site = TempSite::empty();
    let (old, new) = (site.join("old"), site.join("new"));
    fs::create_dir(&old).unwrap();
    fs::write(old.join("jobs.yaml"), ECHO).unwrap();
    assert_eq!(run_in(&site, &old, &["status"]).code, Some(0));
    fs::rename(&old, &new).unwrap();
    assert_eq!(run_in(&site, &new, &["status"]).code, Some(0));
    // The registry has followed it: what is put in the old place now is a copy.
    copy(&new, &old);
    refused(&run_in(&site, &old, &["status"]), "is a copy of");
}

#[test]
fn links_and_fifos_in_a_state_directory_are_refused_and_not_followed() {
    let site = with_hidden_job();
    site.write("precious", "precious");
    let names = ["turn", "gate", "wanted", "roll-call", "worker.log", "id", "state.db", "pruned", "bells", "logs"];
    for name in names {
        let (path, kept) = (site.join(".setlist").join(name), site.join("kept"));
        let existed = path.symlink_metadata().is_ok();
        if existed {
            fs::rename(&path, &kept).unwrap();
        }
        for make in [0, 1, 2] {
            match make {
                0 => symlink(site.join("precious"), &path).unwrap(),
                1 => symlink(site.join("missing"), &path).unwrap(),
                _ => mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap(),
            }
            for args in [&["status"][..], &["add", "q", "--", "true"]] {
                refused(&site.run(args), &format!(".setlist/{name} is "));
            }
            fs::remove_file(&path).unwrap();
        }
        if existed {
            fs::rename(&kept, &path).unwrap();
        }
        assert_eq!(site.read("precious"), "precious");
        assert!(!site.join("missing").exists());
    }
    site.ok(&["status"]);
    let real = site.join("real");
    fs::rename(site.join(".setlist"), &real).unwrap();
    symlink(&real, site.join(".setlist")).unwrap();
    refused(&site.run(&["status"]), ".setlist is a link");
}

#[test]
fn directories_that_others_can_write_are_refused() {
    let mode = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let site = with_hidden_job();
    mode(&site.join(".setlist"), 0o777);
    refused(&site.run(&["status"]), ".setlist can be written by other users");
    mode(&site.join(".setlist"), 0o770);
    site.ok(&["status"]);
    mode(site.path(), 0o777);
    refused(&site.run(&["status"]), "can be written by other users");
    mode(site.path(), 0o1777);
    site.ok(&["status"]);
    mode(site.path(), 0o775);
    site.ok(&["status"]);
    mode(&site.join("jobs.yaml"), 0o666);
    refused(&site.run(&["status"]), "jobs.yaml can be written by other users");
}

#[test]
fn naming_the_state_vouches_for_a_copy_but_not_for_its_mode() {
    let site = with_hidden_job();
    let clone = clone(&site);
    let named = run_in(&site, &clone, &["--state", ".setlist", "list"]);
    assert!(named.code == Some(0) && named.stdout.contains("touch"), "{named:?}");
    refused(&run_in(&site, &clone, &["list"]), "is a copy of");
    fs::set_permissions(clone.join(".setlist"), PermissionsExt::from_mode(0o777)).unwrap();
    refused(&run_in(&site, &clone, &["--state", ".setlist", "list"]), "can be written by other users");
}

#[test]
fn every_file_has_a_state_of_its_own() {
    let site = TempSite::empty();
    site.write("build.yaml", "queues:\n  q: {jobs: [{id: a, run: echo a}, {id: b, run: echo b}]}\n");
    site.write("deploy.yaml", "queues:\n  q: {jobs: [{id: z, run: touch deployed}]}\n");
    site.ok(&["-f", "build.yaml", "status"]);
    assert!(site.ok(&["-f", "deploy.yaml", "list"]).contains('z'));
    let processed = site.run(&["-f", "build.yaml", "process"]);
    assert!(processed.code == Some(0) && processed.stdout.contains("2 succeeded"), "{processed:?}");
    assert!(!site.join("deployed").exists());
    assert!(site.join(".setlist/files/build.yaml/state.db").exists() && !site.join(".setlist/state.db").exists());
    site.write("jobs.yaml", ECHO);
    assert!(site.ok(&["list"]).contains("harmless"));
}

#[test]
fn one_named_state_is_refused_for_a_second_file() {
    let site = TempSite::empty();
    for dir in ["one", "two"] {
        fs::create_dir(site.join(dir)).unwrap();
        site.write(&format!("{dir}/jobs.yaml"), ECHO);
    }
    let run = |dir: &str| {
        let mut command = site.command(&["list"]);
        command.current_dir(site.join(dir)).env("SETLIST_STATE", site.join("shared"));
        CommandOutput::from_output(&command.output().unwrap())
    };
    assert_eq!(run("one").code, Some(0));
    refused(&run("two"), "one/jobs.yaml; name another one for");
    assert_eq!(run("one").code, Some(0), "looking has changed nothing");
    fs::rename(site.join("one"), site.join("moved")).unwrap();
    assert_eq!(run("moved").code, Some(0), "a file that was moved keeps its state");
}

/// A directory in which two users other than root have one of their own. None where the tests don't run as root.
fn two_users() -> Option<TempSite> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can run the program as two users");
        return None;
    }
    let site = TempSite::empty();
    fs::set_permissions(site.path(), PermissionsExt::from_mode(0o711)).unwrap();
    for (name, user) in [("me", ME), ("other", OTHER)] {
        fs::create_dir(site.join(name)).unwrap();
        chown(site.join(name), Some(user), Some(user)).unwrap();
        fs::set_permissions(site.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    }
    fs::copy(SETLIST, site.join("setlist")).unwrap();
    Some(site)
}

const ME: u32 = 65_534;
const OTHER: u32 = 65_533;

/// Runs the program as a user, whose home is below the site.
fn run_as(site: &TempSite, user: u32, dir: &Path, args: &[&str]) -> CommandOutput {
    let home = site.join(if user == ME { "me" } else { "other" });
    let mut command = Command::new(site.join("setlist"));
    command.args(args).uid(user).gid(user).env_clear().env("PATH", "/usr/bin:/bin");
    command
        .env("HOME", &home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_STATE_HOME", home.join("state-home"));
    command.current_dir(dir);
    CommandOutput::from_output(&command.output().unwrap())
}

fn write_as(user: u32, path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    chown(path, Some(user), Some(user)).unwrap();
}

#[test]
fn a_link_of_another_user_to_my_own_file_is_refused() {
    let Some(site) = two_users() else { return };
    write_as(ME, &site.join("me/jobs.yaml"), ECHO);
    let link = site.join("other/jobs.yaml");
    symlink(site.join("me/jobs.yaml"), &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(OTHER), Some(OTHER)).unwrap();
    for args in [&["status"][..], &["process"]] {
        refused(&run_as(&site, ME, &site.join("other"), args), "belongs to another user (65533)");
    }
    assert!(!site.join("other/.setlist").exists());
}

#[test]
fn state_that_another_user_made_first_is_refused() {
    let Some(site) = two_users() else { return };
    let shared = site.join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, PermissionsExt::from_mode(0o1777)).unwrap();
    write_as(OTHER, &shared.join("jobs.yaml"), ECHO);
    assert_eq!(run_as(&site, OTHER, &shared, &["add", "q", "--", "true"]).code, Some(0));
    write_as(ME, &shared.join("jobs.yaml"), ECHO);
    // Even where its owner lets everybody in.
    fs::set_permissions(shared.join(".setlist"), PermissionsExt::from_mode(0o755)).unwrap();
    for args in [&["status"][..], &["process"], &["--state", ".setlist", "status"]] {
        refused(&run_as(&site, ME, &shared, args), ".setlist belongs to another user (65533)");
    }
}

#[test]
fn what_root_creates_belongs_to_the_owner() {
    let Some(site) = two_users() else { return };
    let mine = site.join("me");
    write_as(ME, &mine.join("jobs.yaml"), "queues:\n  q: [\"echo $(id -u)\"]\n");
    let file = mine.join("jobs.yaml");
    let as_root = |args: &[&str]| {
        let mut command = site.command(&["--file"]);
        command.arg(&file).arg("--state").arg(mine.join(".setlist")).args(args);
        CommandOutput::from_output(&command.output().unwrap())
    };
    assert_eq!(as_root(&["process"]).code, Some(0));
    let mut dirs = vec![mine.join(".setlist")];
    let mut seen = 0;
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).chain([dir.clone()]) {
            let metadata = entry.symlink_metadata().unwrap();
            // What root alone can have written shows the owner that root has made it.
            let owner = if entry.ends_with(".setlist/made-by-root") { 0 } else { ME };
            assert_eq!(std::os::unix::fs::MetadataExt::uid(&metadata), owner, "{}", entry.display());
            seen += 1;
            if metadata.is_dir() && entry != dir {
                dirs.push(entry);
            }
        }
    }
    assert!(seen > 10, "only {seen} files");
    let log = mine.join(".setlist");
    let printed = run_as(&site, ME, &mine, &["--state", log.to_str().unwrap(), "retry", "1"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let printed = run_as(&site, ME, &mine, &["--state", log.to_str().unwrap(), "wait", "1"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
}

#[test]
fn a_site_that_root_used_first_continues_to_work_for_its_owner() {
    let Some(site) = two_users() else { return };
    let mine = site.join("me");
    write_as(ME, &mine.join("jobs.yaml"), "queues:\n  q: [\"echo $(id -u)\"]\n");
    let file = mine.join("jobs.yaml");
    let as_root = |args: &[&str]| site.command(&["--file", file.to_str().unwrap()]).args(args).output().unwrap();
    assert!(as_root(&["process", "--quiet"]).status.success());
    let clone = mine.join("clone");
    fs::create_dir(&clone).unwrap();
    for name in ["jobs.yaml", ".setlist"] {
        copy(&mine.join(name), &clone.join(name));
    }
    // Root has copied it with all owners; still it was not made there.
    assert_eq!(run_as(&site, ME, &clone, &["list"]).code, Some(3));
    // A file of the user, who may have got it with a clone, shows nothing.
    let mark = mine.join(".setlist/made-by-root");
    chown(&mark, Some(ME), Some(ME)).unwrap();
    let list = |args: &[&str]| run_as(&site, ME, &mine, args);
    let list_of_sites = "state-home/setlist/sites, and is not used: `setlist adopt`";
    refused(&list(&["list"]), "is not in the list of your sites, ");
    refused(&list(&["list"]), list_of_sites);
    chown(&mark, Some(0), Some(0)).unwrap();
    assert_eq!(list(&["list"]).code, Some(0), "{:?}", list(&["list"]));
    fs::remove_file(&mark).unwrap();
    let printed = list(&["process", "--again", "--quiet"]);
    assert_eq!(printed.code, Some(0), "its owner has it in the list now: {printed:?}");
    assert!(as_root(&["list"]).status.success());
}

#[test]
fn a_folder_without_state_that_cannot_be_written_says_so() {
    let Some(site) = two_users() else { return };
    let shared = site.join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("jobs.yaml"), ECHO).unwrap();
    for command in ["list", "status", "process"] {
        let printed = run_as(&site, ME, &shared, &[command]);
        refused(&printed, ".setlist: Permission denied (os error 13); `--state DIR` keeps the state elsewhere");
    }
}

#[test]
fn the_first_commands_of_a_user_may_run_at_the_same_time() {
    for _ in 0..10 {
        let site = TempSite::with(ECHO);
        // Each of them finds neither a state nor a registry.
        let mut commands: Vec<_> = (0..6).map(|_| site.command(&["list"])).collect();
        let children: Vec<_> = commands
            .iter_mut()
            .map(|command| {
                command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in children {
            let output = CommandOutput::from_output(&child.wait_with_output().unwrap());
            assert!(output.code == Some(0) && output.stderr.is_empty(), "{output:?}");
        }
    }
}

#[test]
fn a_site_may_be_created_by_several_at_the_same_time() {
    for _ in 0..30 {
        let site = TempSite::empty();
        let (barrier, dir) = (std::sync::Barrier::new(6), setlist::store::StateDir::new(site.join("a/b/c/state")));
        let create = || {
            barrier.wait();
            dir.create().unwrap();
            setlist::store::SqliteStore::open(&dir).unwrap();
        };
        thread::scope(|scope| (0..6).for_each(|_| drop(scope.spawn(create))));
    }
}
