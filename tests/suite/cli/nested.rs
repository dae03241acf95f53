//! Sites within sites, the user's own, and other users'.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::temp_site::{CommandOutput, SETLIST, TempSite};

/// A site around another one, and the user's own.
fn nested() -> TempSite {
    let site =
        TempSite::with("queues:\n  outer: [{id: a, run: echo from outer}]\n  both: [{id: one, run: echo outer}]\n");
    fs::create_dir_all(site.join("inner/deep")).unwrap();
    site.write("inner/jobs.yaml", "queues:\n  both: [{id: one, run: echo inner, tags: [quick]}]\n");
    fs::create_dir_all(site.join("config/setlist")).unwrap();
    site.write("config/setlist/jobs.yaml", "queues:\n  own: [{id: tidy, run: echo mine}]\n");
    site
}

fn within(site: &TempSite, folder: &str, args: &[&str]) -> CommandOutput {
    CommandOutput::from_output(&site.command(args).current_dir(site.join(folder)).output().unwrap())
}

#[test]
fn a_command_without_a_queue_runs_in_the_site_of_its_folder() {
    let site = nested();
    // The user's own site has the queue, too.
    let outside = Path::new("/");
    assert!(site.command(&["run", "--wait", "true"]).current_dir(outside).status().unwrap().success());
    let run = within(&site, "inner/deep", &["run", "--wait", "echo", "here"]);
    assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{run:?}");
    assert_eq!(within(&site, "inner", &["log", "@last"]).stdout, "here\n");
}

#[test]
fn the_nearest_site_comes_first_and_the_others_are_reached_by_name() {
    let site = nested();
    let near = within(&site, "inner/deep", &["process", "both"]);
    assert!(near.stdout.contains("both/one  succeeded") && near.stdout.contains("inner"), "{near:?}");
    assert_eq!(near.stderr, "");
    let outer = within(&site, "inner/deep", &["process", "outer"]);
    assert!(outer.stdout.contains("from outer"), "{outer:?}");
    assert_eq!(outer.stderr, format!("setlist: using outer from {}\n", site.join("jobs.yaml").display()));
    let all = within(&site, "inner/deep", &["cancel", "outer/*"]);
    let using = format!("setlist: using outer/* from {}\n", site.join("jobs.yaml").display());
    assert_eq!(all.stderr, format!("{using}setlist: there are no pending or running jobs in outer\n"));
    let own = within(&site, "inner", &["log", "own/tidy"]);
    assert!(own.stderr.contains("using own/tidy from ") && own.stderr.contains("config/setlist/jobs.yaml"), "{own:?}");
    // What no site has is asked of the nearest, and leaves no trace in the others.
    fs::remove_dir_all(site.join("config/setlist/.setlist")).unwrap();
    let none = within(&site, "inner", &["status", "nowhere"]);
    assert!(none.code == Some(2) && none.stderr.contains("there is no queue \"nowhere\""), "{none:?}");
    assert!(!site.join("config/setlist/.setlist").exists());
    // A new queue is made in the nearest.
    assert_eq!(within(&site, "inner", &["add", "new", "--", "true"]).code, Some(0));
    assert_eq!(within(&site, "inner", &["list", "new"]).stdout.lines().count(), 1);
    assert_eq!(site.run(&["list", "new"]).code, Some(2));
    // Names of two sites are not mixed.
    let mixed = within(&site, "inner", &["status", "both", "own"]);
    assert!(mixed.code == Some(2) && mixed.stderr.contains("there is no queue \"own\""), "{mixed:?}");
}

#[test]
fn a_named_file_overrides_the_nearest_one() {
    let site = nested();
    let file = |name: &str| site.join(name).to_str().unwrap().to_owned();
    let named = within(&site, "inner", &["-f", &file("jobs.yaml"), "list", "both"]);
    assert!(named.stdout.contains("outer"), "{named:?}");
    let mut variable = site.command(&["list", "both"]);
    variable.env("SETLIST_FILE", file("jobs.yaml")).current_dir(site.join("inner"));
    assert!(CommandOutput::from_output(&variable.output().unwrap()).stdout.contains("outer"));
    let elsewhere = within(&site, "inner", &["--state", "kept", "add", "own", "--", "true"]);
    assert_eq!((elsewhere.code, &elsewhere.stderr[..]), (Some(0), "setlist: created the queue own\n"));
    assert!(site.join("inner/kept/state.db").exists());
    assert_eq!(within(&site, "inner", &["list", "own"]).stdout.lines().count(), 1, "the user's own has one job");
}

#[test]
fn all_sites_that_can_be_reached_are_listed() {
    let site = nested();
    let output = within(&site, "inner", &["status", "--all"]).stdout;
    let files: Vec<&str> = output.lines().filter(|line| line.starts_with('/')).collect();
    let expected = ["inner/jobs.yaml", "jobs.yaml", "config/setlist/jobs.yaml"].map(|file| site.join(file));
    assert_eq!(files.iter().map(Path::new).collect::<Vec<_>>(), expected);
    let json = within(&site, "inner", &["status", "--all", "--json"]).stdout;
    let sites: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(sites.iter().map(|queue| &queue["queue"]).collect::<Vec<_>>(), ["both", "outer", "both", "own"]);
    assert_eq!(sites[0]["site"], json!(expected[0]));
}

#[test]
fn the_users_own_site_is_used_where_there_is_no_other() {
    let site = nested();
    let folder = tempfile::tempdir().unwrap();
    let printed = CommandOutput::from_output(&site.command(&["status"]).current_dir(folder.path()).output().unwrap());
    assert!(printed.code == Some(0) && printed.stdout.contains("own"), "{printed:?}");
}

#[test]
fn another_users_site_is_refused_until_it_is_named() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give a file away");
        return;
    }
    let site = nested();
    chown(site.join("inner/jobs.yaml"), Some(12345), None).unwrap();
    let way = format!("if you trust it, name it: `setlist -f {} …`", site.join("inner/jobs.yaml").display());
    let commands = [&["process"][..], &["start"], &["cancel", "own"], &["retry", "own"], &["set", "own", "parallel=2"]];
    for args in [&commands[..], &[&["approve"], &["remove", "--tag", "x"]]].concat() {
        let refused = within(&site, "inner/deep", args);
        assert_eq!((refused.code, &refused.stdout[..]), (Some(2), ""), "{args:?}");
        assert!(refused.stderr.contains("belongs to another user (12345)"), "{args:?}: {refused:?}");
        assert!(refused.stderr.contains(&way), "{args:?}: {refused:?}");
    }
    assert!(!site.join("inner/.setlist").exists());
    let named = within(&site, "inner/deep", &["-f", "../jobs.yaml", "process"]);
    assert!(named.code == Some(0) && named.stdout.contains("inner"), "{named:?}");
    // One further up is passed over.
    chown(site.join("inner/jobs.yaml"), Some(0), None).unwrap();
    chown(site.join("jobs.yaml"), Some(12345), None).unwrap();
    assert_eq!(within(&site, "inner", &["process", "outer"]).code, Some(2));
    let all = within(&site, "inner", &["status", "--all"]);
    assert!(all.code == Some(0) && !all.stdout.contains("outer"), "{all:?}");
}

#[test]
fn a_shell_completes_queues_and_jobs() {
    let site = nested();
    let script = format!(
        "PATH={}:$PATH; source <(setlist completions bash); \
         complete_it() {{ COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9; \
         _clap_complete_setlist setlist \"${{@: -1}}\" \"\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"; echo --; }}; \
         complete_it setlist process o; complete_it setlist log both/; complete_it setlist list --sta; \
         complete_it setlist -f ../jobs.yaml show ''; complete_it setlist list --state pe; \
         complete_it setlist set both par; complete_it setlist cancel --tag qu",
        Path::new(SETLIST).parent().unwrap().display()
    );
    let mut bash = Command::new("bash");
    site.set_environment(&mut bash);
    let printed =
        CommandOutput::from_output(&bash.args(["-c", &script]).current_dir(site.join("inner")).output().unwrap());
    let replies: Vec<Vec<&str>> =
        printed.stdout.split("--\n").map(|reply| reply.split_whitespace().collect()).collect();
    assert_eq!(replies[0], ["outer", "own"], "{printed:?}");
    assert_eq!(replies[1], ["both/one"], "{printed:?}");
    assert_eq!(replies[5], ["parallel=1", "parallel=file"], "{printed:?}");
    assert_eq!(replies[6], ["quick"], "{printed:?}");
    assert!(printed.stdout.contains("--state"), "{printed:?}");
    assert!(printed.stdout.contains("outer/a") && printed.stdout.contains("\npending"), "{printed:?}");
    assert!(!site.join("inner/.setlist").exists(), "who completes makes nothing");
    for shell in ["zsh", "fish", "elvish"] {
        assert!(site.ok(&["completions", shell]).contains("SETLIST_COMPLETE"), "{shell}");
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let site = TempSite::empty();
    let page = site.ok(&["man"]);
    assert!(page.starts_with(".ie") && page.contains("A job queue that lives in the terminal"), "{page}");
    assert!(site.ok(&["man", "process"]).contains("\\-\\-dry\\-run"));
    let retry = site.ok(&["man", "retry"]);
    assert!(retry.starts_with(".ie") && retry.contains(".TH setlist-retry 1  \"setlist "), "{retry}");
    assert!(retry.contains("[\\fB\\-\\-input\\fR \\fINAME=VALUE\\fR]"), "{retry}");
    assert!(retry.contains("\n.SH EXAMPLES\n.nf\n") && retry.contains("\n.SH \"EXIT STATUS\"\n"), "{retry}");
    for page in [&page, &retry, &site.ok(&["man", "monitoring"])] {
        let filled = page.split(".fi\n").map(|part| part.split(".nf\n").next().unwrap_or_default());
        assert!(!filled.collect::<String>().contains('`') && !page.contains("EXTRA"), "{page}");
    }
    assert_eq!(site.run(&["man", "nothing"]).code, Some(2));
    site.ok(&["man", "--dir", "man1"]);
    let pages = fs::read_dir(site.join("man1")).unwrap().count();
    let help = site.ok(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(commands.contains(&"wait") && pages > commands.len() - 2, "{pages} pages, {commands:?}");
    site.write("file", "");
    assert!(site.run(&["man", "--dir", "file/x"]).stderr.contains("cannot write the pages to file/x"));
}

#[test]
fn the_commands_in_help_can_be_typed() {
    let site = TempSite::with(
        "queues:\n  build: [{id: lint, run: 'true', tags: [slow]}]\n  sweep: ['echo 1']\n  nightly: ['true']\n",
    );
    let mut taught = 0;
    for command in ["process", "start", "set", "add", "list", "results", "log", "retry", "wait", "worker", "man"] {
        let help = site.ok(&[command, "--help"]);
        let (_, examples) = help.split_once("Examples:\n").unwrap();
        for line in examples.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| line.contains("setlist "))
        {
            let line = line.split("   ").next().unwrap();
            for part in
                line.split(" && ").flat_map(|part| part.split(" | ")).filter(|part| part.starts_with("setlist "))
            {
                // A worker would not exit, and the manual must not be installed for the user.
                let ends = if part.contains("worker") { " --exit-when-idle" } else { "" };
                let part = part.replace("/srv/app/", "").replace("~/.local/share/man", "man") + ends;
                let part = part.replace("--exit-when-idle --exit-when-idle", "--exit-when-idle");
                let words = shlex::split(&part).unwrap();
                let args: Vec<&str> = words[1..].iter().map(String::as_str).collect();
                // A worker that the last example has started may still run the job.
                site.run(&["wait", "build", "--timeout", "30s"]);
                site.ok(&["reset", "build"]);
                site.run(&["process", "build", "--next"]);
                let output = site.run(&args);
                // What it would be given stands before it.
                let given = part.ends_with("--stdin") && output.stderr.contains("standard input is empty");
                let none_failed = part.contains("@failed") && output.stderr.contains("there is no job for @failed");
                let is_fine = output.code == Some(0) || output.code == Some(1) || given || none_failed;
                assert!(is_fine, "{part}: {output:?}");
                taught += 1;
            }
        }
    }
    assert!(taught > 15, "{taught}");
}
