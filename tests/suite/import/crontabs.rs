//! Crontabs as a whole: environment, input, mail, comments, and lines that are refused.

use std::process::{Command, Stdio};

use serde_json::json;

use super::{import, refused};
use crate::temp_site::TempSite;

const CRONTAB: &str = "\
# Edit this file to introduce tasks to be run by cron.
#
# m h  dom mon dow   command
MAILTO=ops@example.org
PATH = /usr/local/bin:/usr/bin:/bin

# Nightly backup
30 2 * * *  backup --all && echo \"done\"

# Not at the moment
#0 3 * * * backup --check
RANDOM_DELAY=30
# Report to the team
# (not on weekends)
0 9 * * mon-fri  report --date $(date +\\%F)
GREETING=\"  hello \"
@daily mail -s greeting joe%Hi Joe,%bye%
@reboot start-agent
";

const EXPECTED: &str = "\
# Imported from input by `setlist import crontab`.
#
# The jobs run as cron runs them: in the home directory, with few variables, and times at which no worker is
# running are not made up for (`missed: skip`; remove it to change that). Unlike with cron, a job that is due
# while it is still running is not started a second time. `setlist service install` keeps a worker running.
# Remove the lines from the crontab when you use this file, or the jobs run twice.
#
# Edit this file to introduce tasks to be run by cron.
queues:
  cron:
    title: Jobs from the crontab
    parallel: 3
    shell: [/bin/sh, -c]
    cwd: \"~\"
    pass_env: none
    on_finish: \"[ ! -s \\\"$SETLIST_LOG\\\" ] || mail -s \\\"Cron $SETLIST_QUEUE/$SETLIST_JOB\\\" \\\"$MAILTO\\\" < \\\"$SETLIST_LOG\\\"\"
    env:
      MAILTO: ops@example.org
      PATH: /usr/local/bin:/usr/bin:/bin
      SHELL: /bin/sh
    jobs:
      - title: Nightly backup
        run: backup --all && echo \"done\"
        schedule: {cron: \"30 2 * * *\", missed: skip}

      # Not at the moment
      # 0 3 * * * backup --check
      # Report to the team
      # (not on weekends)
      - run: report --date $(date +%F)
        schedule: {cron: \"0 9 * * 1-5\", jitter: \"30m\", missed: skip}

      - run: mail -s greeting joe
        stdin: |
          Hi Joe,
          bye
        schedule: {cron: \"@daily\", jitter: \"30m\", missed: skip}
        env: {GREETING: \"  hello \"}

  reboot:
    title: At boot
    shell: [/bin/sh, -c]
    cwd: \"~\"
    pass_env: none
    on_finish: \"[ ! -s \\\"$SETLIST_LOG\\\" ] || mail -s \\\"Cron $SETLIST_QUEUE/$SETLIST_JOB\\\" \\\"$MAILTO\\\" < \\\"$SETLIST_LOG\\\"\"
    env:
      GREETING: \"  hello \"
      MAILTO: ops@example.org
      PATH: /usr/local/bin:/usr/bin:/bin
      SHELL: /bin/sh
    jobs:
      - run: start-agent
";

#[test]
fn a_crontab_becomes_a_file_that_a_user_would_write() {
    let site = TempSite::empty();
    let messages = import(&site, "crontab", CRONTAB, &[]);
    assert_eq!(site.read("jobs.yaml"), EXPECTED);
    assert_eq!(
        messages,
        "setlist: input:4: output is sent by `on_finish` with the program `mail`, which has to be installed\n\
         setlist: input:18: `@reboot` is not a time of a schedule: the job is in the queue `reboot` without one; keep \
         the line `@reboot setlist -f FILE process reboot --again` in the crontab\n\
         setlist: wrote 4 jobs to jobs.yaml\n"
    );
}

/// Leaves out the schedules, so that the jobs run only when the test says so, and no worker stays for them.
fn remove_schedules(site: &TempSite) {
    let yaml = site.read("jobs.yaml");
    let lines = yaml.lines().filter(|line| !line.trim_start().starts_with("schedule: "));
    site.write("jobs.yaml", &lines.flat_map(|line| [line, "\n"]).collect::<String>());
}

#[test]
fn an_imported_job_runs_as_cron_runs_it() {
    let site = TempSite::empty();
    let home = site.join("home");
    std::fs::create_dir(&home).unwrap();
    let crontab = format!(
        "HOME={}\nGREETING='two  words'\nA B = c\n# Job\n* * * * * pwd; echo \"$GREETING|$PATH|$SHELL|$LEAKED\"; cat; false; \
         echo after%one\\%%two\n",
        home.display()
    );
    let messages = import(&site, "crontab", &crontab.replace("A B = c\n", ""), &[]);
    assert!(!messages.contains("not carried over"), "{messages}");
    remove_schedules(&site);
    assert!(site.command(&["retry", "cron/job"]).env("LEAKED", "yes").status().unwrap().success());
    site.ok(&["wait", "cron/job"]);
    let expected = format!("{}\ntwo  words|/usr/bin:/bin|/bin/sh|\none%\ntwo\nafter\n", home.display());
    assert_eq!(site.ok(&["log", "cron/job"]), expected);
}

#[test]
fn output_is_sent_by_mail_as_cron_does() {
    let site = TempSite::empty();
    std::fs::create_dir(site.join("bin")).unwrap();
    site.script("bin/mail", "{ echo \"$@\"; cat; } >> \"$SETLIST_SITE/mails\"");
    let crontab = format!(
        "PATH={}:/usr/bin:/bin\n* * * * * : none yet\nMAILTO=ops@example.org\n# Loud\n* * * * * echo hello\n# Silent\n\
         * * * * * true\n# Failing\n* * * * * -n echo bad; false\n# Fine\n* * * * * -n echo good\nMAILTO=\"\"\n# Off\n\
         * * * * * echo hidden\n",
        site.join("bin").display()
    );
    import(&site, "crontab", &crontab, &[]);
    remove_schedules(&site);
    for job in ["loud", "silent", "failing", "fine", "off"] {
        site.ok(&["retry", &format!("cron/{job}")]);
        site.run(&["wait", &format!("cron/{job}")]);
    }
    crate::temp_site::wait_for("both mails", || (site.read("mails").lines().count() >= 4).then_some(()));
    let mut mails: Vec<String> = site.read("mails").lines().map(str::to_owned).collect();
    mails.sort();
    assert_eq!(
        mails,
        ["-s Cron cron/failing ops@example.org", "-s Cron cron/loud ops@example.org", "bad", "hello"],
        "of those that print something, and of `-n` only failures"
    );
}

#[test]
fn what_is_not_carried_over_is_reported_with_its_line() {
    let site = TempSite::empty();
    let crontab = "\
LOGNAME=root
CRON_TZ=Europe/Berlni
0 5 * * * zoned
CRON_TZ=
60 * * * * minute
5/15 * * * * step
* 22-2 * * * night
0 0 31 2 * never
@fortnightly x
@Daily x
* * * * *
nonsense
MAILTO=-oops
MAILFROM=cron
RANDOM_DELAY=soon
TZ=Asia/Tokyo
10~20 ~ * * * random
0 1 * * * fine";
    let messages = import(&site, "crontab", crontab, &[]);
    let lines: Vec<&str> = messages.lines().collect();
    let expected = [
        "1: not carried over: cron sets `LOGNAME` itself",
        "2: not carried over: unknown time zone `Europe/Berlni`; did you mean `Europe/Berlin`?",
        "3: not carried over: the time zone of line 2 is unknown",
        "5: not carried over: invalid minute `60`: `60` is not between 0 and 59",
        "6: not carried over: invalid minute `5/15`: cron has no step after a single value; write `5-59/15`",
        "7: not carried over: invalid hour `22-2`: cron takes this range for empty; write `22-23,0-2`",
        "8: not carried over: `0 0 31 2 *` never comes",
        "9: not carried over: unknown time `@fortnightly`",
        "10: not carried over: cron accepts `@Daily` only in lower case",
        "11: not carried over: neither a variable",
        "12: not carried over: neither a variable",
        "13: no mail is sent: `MAILTO` begins with `-`",
        "14: not carried over: Setlist has nothing like `MAILFROM`",
        "15: not carried over: `RANDOM_DELAY` is not from 0 to 1440 minutes",
        "16: `TZ` is set for the commands",
        "17: `10~20` is ",
        "17: `~` is ",
        "18: cron ignores a last line without a line end",
        "wrote 2 jobs to jobs.yaml; 14 not carried over, see above",
    ];
    assert_eq!(lines.len(), expected.len(), "{messages}");
    for (line, expected) in lines.iter().zip(expected) {
        let place = if expected.starts_with(char::is_numeric) { "setlist: input:" } else { "" };
        assert!(line.contains(&format!("{place}{expected}")), "{line}\nis not\n{expected}");
    }
    assert!(site.read("jobs.yaml").contains("TZ: Asia/Tokyo"));
    let again = import(&site, "crontab", crontab, &[]);
    assert_eq!(again, messages, "the values of `~` are always the same");
}

#[test]
fn a_crontab_with_users_is_imported_for_one_of_them() {
    let site = TempSite::empty();
    let crontab =
        "17 * * * * root cd / && run-parts --report /etc/cron.hourly\n5 * * * * www-data refresh\n0 1 * * * only\n";
    let messages = import(&site, "crontab", crontab, &["--system", "--user", "www-data"]);
    assert!(messages.contains("input:1: not carried over: it runs as root"), "{messages}");
    assert!(messages.contains("with `--user root`"), "{messages}");
    assert!(messages.contains("input:3: not carried over: expected a user and a command"), "{messages}");
    assert!(site.read("jobs.yaml").contains("run: refresh\n"), "{}", site.read("jobs.yaml"));
    // Without --system, the column is part of the command, which is noticed.
    let messages = import(&site, "crontab", crontab, &[]);
    assert!(messages.contains("input:1: the command begins like a user"), "{messages}");
}

#[test]
fn the_own_crontab_is_read_without_a_file() {
    let site = TempSite::empty();
    std::fs::create_dir(site.join("bin")).unwrap();
    site.script("bin/crontab", "test \"$*\" = -l && echo '0 1 * * * backup'");
    let import = |site: &TempSite| {
        let output = site.command(&["import", "crontab"]).env("PATH", site.join("bin")).output().unwrap();
        crate::temp_site::CommandOutput::from_output(&output)
    };
    let output = import(&site);
    assert!(output.code == Some(0) && output.stdout.contains("run: backup"), "{output:?}");
    site.script("bin/crontab", "echo 'no crontab for ada' >&2; exit 1");
    assert_eq!(import(&site).stderr, "setlist: `crontab -l`: no crontab for ada\n");
    std::fs::remove_file(site.join("bin/crontab")).unwrap();
    assert!(import(&site).stderr.contains("name a file, or `-` for standard input"));
}

#[test]
fn standard_input_is_read_for_a_dash() {
    let site = TempSite::empty();
    let mut shell = Command::new("sh");
    site.set_environment(&mut shell);
    let script = format!("printf '0 1 * * * backup\\n' | {} import crontab -", crate::temp_site::SETLIST);
    let output = shell.args(["-c", &script]).stderr(Stdio::null()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.starts_with("# Imported from standard input") && printed.contains("run: backup"), "{printed}");
}

#[test]
fn a_crontab_without_entries_is_refused() {
    let site = TempSite::empty();
    for text in ["", "# nothing\nMAILTO=me\n", "\0\n"] {
        let output = refused(&site, "crontab", text, &[]);
        assert!(output.stderr.ends_with("input: there is nothing to import\n"), "{output:?}");
    }
}

#[test]
fn any_text_is_imported_or_refused() {
    let site = TempSite::empty();
    let commands = [
        "echo '# $x: [a] {b}, \"c\" \\\\ ${matrix.a} ${{ x }}'",
        "- x",
        "! x & y | z > a",
        "\u{fe}\u{ff}é 🎵",
        "yes",
        "1e3",
        "~",
    ];
    let entry = |command: &&str| format!("# {command}\n0 1 * * * {}\n", command.replace('%', "\\%"));
    let crontab = commands.iter().map(entry).collect::<Vec<_>>().concat();
    import(&site, "crontab", &crontab, &[]);
    let listed = site.ok(&["list", "--json"]);
    let found: Vec<serde_json::Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let scripts: Vec<&str> = found.iter().map(|job| job["command"].as_str().unwrap()).collect();
    for command in commands.iter().filter(|command| !command.starts_with('-')) {
        assert!(scripts.contains(command), "{command}: {scripts:?}");
    }
    assert_eq!(found[0]["queue"], json!("cron"));
}
