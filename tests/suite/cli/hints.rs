//! Wrong commands, names and values: the message names the right one.

use portable_pty::CommandBuilder;

use crate::temp_site::{SETLIST, TempSite};
use crate::terminal::Terminal;

const SITE: &str = "queues: {build: [{id: lint, run: 'true'}], nightly: []}\n";

#[test]
fn a_wrong_command_gets_the_right_one() {
    let site = TempSite::with(SITE);
    for (args, right) in [
        (&["proces"][..], "did you mean `setlist process`?"),
        (&["proces", "build"], "did you mean `setlist process build`?"),
        (&["kill", "build/lint"], "did you mean `setlist cancel --kill build/lint`?"),
        (&["rm", "build/lint", "a b"], "did you mean `setlist remove build/lint 'a b'`?"),
        (&["ls"], "did you mean `setlist list`?"),
        (&["--color", "never", "ls", "-la"], "did you mean `setlist list`?"),
        (&["tail", "-f", "build/lint"], "did you mean `setlist log -f`?"),
        (&["exec", "make"], "did you mean `setlist run make`?"),
        (&["strat", "build"], "did you mean `setlist start build`?"),
        (&["launch", "build"], "did you mean `setlist start build`?"),
        (&["stop", "build"], "did you mean `setlist cancel build`?"),
        (&["parallel", "3"], "did you mean `setlist set QUEUE parallel=N`?"),
        (&["reject", "build/lint"], "did you mean `setlist approve --refuse build/lint`?"),
        (&["aprove", "build/lint"], "did you mean `setlist approve build/lint`?"),
    ] {
        let output = site.run(args);
        assert_eq!((output.code, &output.stdout[..]), (Some(2), ""), "{args:?}: {output:?}");
        assert!(output.stderr.starts_with("setlist: \"") && output.stderr.contains("is not a command"), "{output:?}");
        assert!(output.stderr.trim_end().ends_with(right), "{args:?}: {output:?}");
    }
    // A queue's name is no mistake.
    let output = site.run(&["build"]);
    assert!(output.stderr.contains("the screen needs a terminal"), "{output:?}");
    assert!(site.run(&["build", "extra"]).stderr.contains("'extra'"));
    // Words that resemble nothing.
    let output = site.run(&["embroider", "build/lint"]);
    let expected =
        "setlist: unexpected argument 'build/lint': \"embroider\" is not a command; `setlist help` lists them\n";
    assert_eq!((output.code, &*output.stderr), (Some(2), expected));
    let output = site.run(&["frobnicate"]);
    assert!(output.code == Some(2) && output.stderr.contains("\"frobnicate\" is not a command"), "{output:?}");
}

#[test]
fn a_comparison_without_a_colon_gets_the_filter() {
    let site = TempSite::with(SITE);
    for (query, hint) in [
        ("took>1m", "write `took:>1m`"),
        ("duration>=1m", "write `took:>=1m`"),
        ("value<0.3", "write `value:<0.3`"),
        ("exit=1", "write `exit:1`"),
        ("state=failed", "write `state:failed`"),
        ("duration:>1m", "did you mean `took:`?"),
        ("status:failed", "did you mean `state:`?"),
    ] {
        let output = site.run(&["list", "-q", query]);
        assert!(output.code == Some(2) && output.stderr.contains(hint), "{query}: {output:?}");
    }
    // Text in quotes, and other text.
    site.ok(&["list", "-q", "\"took>1m\" a>b >2 x=y"]);
}

#[test]
fn an_unknown_field_gets_its_topic() {
    for (field, topic) in [
        ("cron", "did you mean `schedule`?"),
        ("when", "did you mean `if`?"),
        ("order", "what runs first: `needs` and `priority`"),
        ("manual", "approval before it runs: `confirm`"),
        ("user", "jobs run as you"),
        ("stdin_file", "the standard input: `stdin`"),
        ("frobnicate", "`setlist help jobs.yaml` lists all fields"),
    ] {
        let site = TempSite::with(&format!("queues: {{q: [{{run: 'true', {field}: x}}]}}\n"));
        let output = site.run(&["check"]);
        assert!(output.code == Some(2) && output.stderr.contains(topic), "{field}: {}", output.stderr);
        assert!(!output.stderr.contains("`log_limit`"), "not all fields are listed: {}", output.stderr);
    }
}

#[test]
fn variables_in_texts_that_people_read_are_warned_of() {
    let jobs = "[{id: a, run: 'true', confirm: 'Deploy to ${TARGET}?'}, {id: b, run: 'true', title: To $HOME for $5}]";
    let site = TempSite::with(&format!("queues: {{q: {jobs}}}\n"));
    let output = site.run(&["check"]);
    assert_eq!(output.code, Some(0));
    assert!(output.stderr.contains("q/a: ${TARGET} in `confirm` is shown as it is"), "{output:?}");
    assert!(output.stderr.contains("q/b: $HOME in `title` is shown as it is"), "{output:?}");
    // The title of a matrix job comes from its script.
    let site = TempSite::with("queues: {q: [{run: echo $HOME $n $5, matrix: {n: [1]}}, {run: a, title: costs $5}]}\n");
    assert_eq!(site.run(&["check"]).stderr, "");
}

#[test]
fn a_parameter_that_a_command_names_as_a_shell_would_is_warned_of() {
    let job = "{id: train, command: [train, '--rate=${rate}', '${other}'], matrix: {size: [1], rate: [2, 3]}}";
    let output = TempSite::with(&format!("queues: {{q: [{job}]}}\n")).run(&["check"]);
    assert_eq!(output.code, Some(0));
    let warnings: Vec<&str> = output.stderr.lines().collect();
    let expected = "${rate} in `command` is passed as it is; did you mean `${matrix.rate}`?";
    assert!(matches!(warnings[..], [warning] if warning.ends_with(expected)), "{output:?}");
    // A shell has it as a variable.
    let site = TempSite::with("queues: {q: [{id: train, run: 'echo ${rate}', matrix: {rate: [2, 3]}}]}\n");
    assert_eq!(site.run(&["check"]).stderr, "");
}

#[test]
fn an_unknown_queue_gets_the_list_of_queues() {
    let site = TempSite::with(SITE);
    let output = site.run(&["status", "nope"]);
    assert_eq!(output.code, Some(2));
    assert_eq!(output.stderr, "setlist: there is no queue \"nope\"; the queues are build, nightly\n");
    assert!(site.run(&["process", "nigthly"]).stderr.ends_with("did you mean \"nightly\"?\n"));
    let only = TempSite::with("queues: {build: []}\n");
    assert!(only.run(&["list", "nope"]).stderr.ends_with("; the only queue is build\n"));
}

#[test]
fn a_command_to_add_needs_no_dashes() {
    let site = TempSite::with(SITE);
    site.ok(&["add", "build", "echo", "hi", "-n", "--title"]);
    assert_eq!(site.job("#2")["command"], "echo hi -n --title");
    site.ok(&["add", "build", "--title", "Both", "--", "-x"]);
    assert_eq!((&site.job("#3")["command"], &site.job("#3")["title"]), (&"-x".into(), &"Both".into()));
    // An option before the command is still checked.
    assert!(site.run(&["add", "build", "--titel", "x", "echo"]).stderr.contains("--title"));
}

#[test]
fn values_out_of_range_get_the_range() {
    let site = TempSite::with(SITE);
    let output = site.run(&["process", "--parallel", "0"]);
    assert!(output.code == Some(2) && output.stderr.contains("expected a number from 1 to 4294967295"), "{output:?}");
    // A number of seconds, as in jobs.yaml.
    let output = site.run(&["wait", "build/lint", "--timeout", "0"]);
    assert!(output.code == Some(1) && output.stderr.contains("build/lint is not finished"), "{output:?}");
    site.ok(&["add", "build", "--timeout", "5", "--save", "--title", "Five", "true"]);
    assert!(site.read("jobs.yaml").contains("5s"), "{}", site.read("jobs.yaml"));
    site.ok(&["list", "--since", "3600"]);
    for wrong in ["five", "99999999999999999999", "99999999999y", "-1"] {
        let output = site.run(&["list", "--since", wrong]);
        assert_eq!(output.code, Some(2), "{wrong}: {output:?}");
    }
    let output = site.run(&["wait", "--timeout", "five"]);
    assert!(output.stderr.contains("expected a duration such as `90s`, `10m` or `1h 30m`"), "{output:?}");
}

#[test]
fn a_list_in_a_pipe_is_not_truncated() {
    let (queue, job) = ("a-queue-with-quite-a-long-name", "a-job-with-a-name-that-is-even-longer-than-that");
    let site =
        TempSite::with(&format!("queues: {{{queue}: [{{id: {job}, run: 'true', needs: x}}, {{id: x, run: ':'}}]}}\n"));
    let list = site.ok(&["list"]);
    assert!(list.contains(&format!("{queue}/{job}")) && !list.contains('…'), "{list}");
    let columns: Vec<_> = list.lines().map(|line| line.find("pending")).collect();
    assert!(columns[0].is_some() && columns[0] == columns[1], "{list}");
}

#[test]
fn the_screen_refuses_a_dumb_terminal() {
    let site = TempSite::with(SITE);
    let mut command = CommandBuilder::new("sh");
    command.args(["-c", &format!("TERM=dumb exec {SETLIST}")]);
    let mut terminal = Terminal::run(&site, command);
    terminal.wait_for_text("TERM is `dumb`; use `setlist --plain`, `status`, `list` or `process`");
    assert_eq!(terminal.child.wait().unwrap().exit_code(), 2);
    assert!(terminal.enabled_modes().is_empty());
}
