//! The whole program in a real pseudo-terminal: real keys, real jobs, what the screen shows.

mod demo;
mod first_minute;
mod linear;
mod multiplexer;
mod saved_jobs;
mod server_outage;

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use vt100::MouseProtocolMode;

use crate::temp_site::{SETLIST, SITE_ENV, TempSite, WAIT_TIMEOUT, wait_for};

pub(crate) struct Terminal {
    pub(crate) child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    master: Option<Box<dyn MasterPty + Send>>,
    drawn: Arc<Mutex<DrawnScreen>>,
    output_received: Receiver<()>,
}

struct DrawnScreen {
    screen: vt100::Parser,
    raw: Vec<u8>,
}

impl Terminal {
    /// Runs `setlist ARGS` in this site, in a terminal of 80x24.
    pub(crate) fn open(site: &TempSite, args: &[&str]) -> Self {
        let mut command = CommandBuilder::new(SETLIST);
        command.args(args);
        Self::run(site, command)
    }

    /// Runs any program in this site, in a terminal of 80x24, as for a user who knows the first keys.
    pub(crate) fn run(site: &TempSite, command: CommandBuilder) -> Self {
        std::fs::create_dir_all(site.join("state-home/setlist")).unwrap();
        site.write("state-home/setlist/used-hints", "process\nopen\nhelp\n");
        Self::run_first(site, command)
    }

    /// Same for a new user.
    pub(crate) fn run_first(site: &TempSite, mut command: CommandBuilder) -> Self {
        let pair = native_pty_system().openpty(size(80, 24)).unwrap();
        command.cwd(site.path());
        command.env("TERM", "xterm-256color");
        command.env("XDG_CONFIG_HOME", site.join("config"));
        command.env("XDG_STATE_HOME", site.join("state-home"));
        command.env("EDITOR", site.join("editor"));
        command.env("PAGER", site.join("pager"));
        command.env(SITE_ENV, site.path());
        for name in ["SETLIST_FILE", "SETLIST_STATE", "SETLIST_STORE", "NO_COLOR", "VISUAL", "TMUX", "STY", "LESS"] {
            command.env_remove(name);
        }
        // A backtrace would push the panic message off the screen.
        command.env_remove("RUST_BACKTRACE");
        let child = pair.slave.spawn_command(command).unwrap();
        let drawn =
            Arc::new(Mutex::new(DrawnScreen { screen: vt100::Parser::new(cells(24), cells(80), 0), raw: Vec::new() }));
        let (sender, news) = channel();
        let (mut reader, seen) = (pair.master.try_clone_reader().unwrap(), Arc::clone(&drawn));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = reader.read(&mut buffer) {
                let mut drawn = seen.lock().unwrap();
                drawn.screen.process(&buffer[..len]);
                drawn.raw.extend(&buffer[..len]);
                drop(drawn);
                if sender.send(()).is_err() {
                    break;
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        Self { child, keys, master: Some(pair.master), drawn, output_received: news }
    }

    pub(crate) fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Everything that was written to the terminal so far.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.drawn.lock().unwrap().raw).into_owned()
    }

    /// The terminal modes that the program has set and not reset.
    pub(crate) fn enabled_modes(&self) -> Vec<&'static str> {
        let drawn = self.drawn.lock().unwrap();
        let screen = drawn.screen.screen();
        let taken = [
            (screen.alternate_screen(), "alternate screen"),
            (screen.hide_cursor(), "hidden cursor"),
            (screen.bracketed_paste(), "bracketed paste"),
            (screen.mouse_protocol_mode() != MouseProtocolMode::None, "mouse"),
        ];
        taken.into_iter().filter_map(|(on, what)| on.then_some(what)).collect()
    }

    fn text(&self) -> String {
        self.drawn.lock().unwrap().screen.screen().contents()
    }

    /// Waits until the screen's text meets a condition; returns the text.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + WAIT_TIMEOUT;
        loop {
            let text = self.text();
            if wanted(&text) {
                return text;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                self.output_received.recv_timeout(left).is_ok() || wanted(&self.text()),
                "timed out waiting for {what}:\n{text}"
            );
        }
    }

    #[track_caller]
    pub(crate) fn wait_for_text(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.drawn.lock().unwrap().screen.screen_mut().set_size(cells(rows), cells(columns));
        self.master.as_ref().unwrap().resize(size(columns, rows)).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.process_id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits for the program's exit, and asserts that it reset the terminal.
    #[track_caller]
    pub(crate) fn wait_for_exit(mut self) -> ExitStatus {
        let status = wait_for("the program to leave", || self.child.try_wait().unwrap());
        // The channel closes when the reader has read everything.
        self.master.take();
        while self.output_received.recv_timeout(WAIT_TIMEOUT).is_ok() {}
        assert_eq!(self.enabled_modes(), [""; 0], "modes that were not reset");
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn cells(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

const THREE: &str = "\
queues:
  work:
    - {id: good, title: Goes well, run: echo all is well}
    - {id: bad, title: Goes wrong, run: 'echo about to fail; exit 3'}
    - {id: last, title: Comes last, run: echo the end}
";

/// A job that runs until the file `go` exists.
const WAITS: &str = "queues:\n  work:\n    - {id: slow, title: Slow one, run: 'echo begun; while [ ! -e go ]; do sleep 0.01; done; echo over'}\n";

#[test]
fn opening_starts_nothing_and_p_processes() {
    let site = TempSite::with(THREE);
    let mut screen = Terminal::open(&site, &[]);
    let text = screen.wait_for_text("Comes last");
    assert!(text.contains("Pending") && text.contains("Finished"), "{text}");
    assert!(site.ok(&["status"]).contains("idle"));
    screen.keys("p");
    screen.wait_until("three finished jobs", |text| {
        text.contains("exit code 3") || text.matches("succeeded").count() >= 2
    });
    site.wait_until("work/last", |job| job["outcome"] == json!("succeeded"));
    assert_eq!(site.job("work/bad")["outcome"], json!("failed"));
    screen.keys("q");
    assert!(screen.wait_for_exit().success());
}

#[test]
fn the_screen_requests_with_its_own_environment() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: a, run: 'echo $TARGET > a'}\n    - {id: b, run: 'while [ ! -e go ]; do sleep 0.01; done'}\n",
    );
    assert!(site.command(&["retry", "q/b"]).env("TARGET", "staging").status().unwrap().success());
    let mut command = CommandBuilder::new(SETLIST);
    command.env("TARGET", "prod");
    let mut terminal = Terminal::run(&site, command);
    terminal.wait_for_text("p process");
    terminal.keys("p");
    site.write("go", "");
    site.wait_until("q/a", |job| job["outcome"] == json!("succeeded"));
    assert_eq!(site.read("a"), "prod\n");
    terminal.keys("q");
    assert!(terminal.wait_for_exit().success());
}

#[test]
fn jobs_keep_running_and_are_recorded_after_quitting() {
    let site = TempSite::with(WAITS);
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("Slow one");
    screen.keys("p");
    screen.wait_for_text("begun");
    screen.keys("q");
    assert!(screen.wait_for_exit().success());
    assert_eq!(site.job("work/slow")["state"], json!("running"));
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("begun");
    site.write("go", "");
    screen.wait_for_text("over");
    assert_eq!(site.wait_until("work/slow", |job| job["state"] == json!("finished"))["value"], json!("over"));
    screen.keys("q");
    screen.wait_for_exit();
}

#[test]
fn killing_the_screen_does_not_stop_a_job() {
    let site = TempSite::with(WAITS);
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("Slow one");
    screen.keys("p");
    screen.wait_for_text("begun");
    screen.signal(Signal::KILL);
    screen.child.wait().unwrap();
    site.write("go", "");
    assert_eq!(site.wait_until("work/slow", |job| job["state"] == json!("finished"))["outcome"], json!("succeeded"));
}

#[test]
fn the_terminal_is_restored_after_a_signal() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let site = TempSite::with(THREE);
        let screen = Terminal::open(&site, &[]);
        screen.wait_for_text("Pending");
        screen.signal(signal);
        screen.wait_for_exit();
    }
}

#[test]
fn a_mistyped_command_creates_no_queue() {
    let site = TempSite::with(THREE);
    let mut screen = Terminal::open(&site, &["statsu"]);
    screen.wait_for_text("did you mean `setlist status`?");
    assert_eq!(screen.child.wait().unwrap().exit_code(), 2);
    assert!(!site.ok(&["status"]).contains("statsu"));
}

#[test]
fn an_open_screen_reaps_a_dead_worker() {
    let site = TempSite::with(WAITS);
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("Slow one");
    screen.keys("r");
    screen.wait_for_text("begun");
    kill_process(site.worker_pid(), Signal::KILL).unwrap();
    screen.wait_for_text("A worker died: 1 job interrupted");
    screen.wait_for_text("✗ 1 failed");
    screen.keys("q");
    screen.wait_for_exit();
}

#[test]
fn x_cancels_a_running_job_and_r_runs_it_again() {
    let site = TempSite::with(WAITS);
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("Slow one");
    screen.keys("r");
    screen.wait_for_text("begun");
    screen.keys("x");
    let text = screen.text();
    if text.contains("Esc go back") || !text.contains("cancelled") {
        screen.wait_until("a question or the end", |text| text.contains("Esc go back") || text.contains("cancelled"));
        screen.keys("y");
    }
    site.wait_until("work/slow", |job| job["outcome"] == json!("cancelled"));
    screen.wait_for_text("cancelled");
    site.write("go", "");
    screen.keys("r");
    let job = site.wait_until("work/slow", |job| job["outcome"] == json!("succeeded"));
    assert_eq!(job["run_count"], json!(2));
    screen.wait_for_text("over");
    screen.keys("q");
    screen.wait_for_exit();
}

#[test]
fn a_saved_file_is_reloaded_and_its_errors_are_shown_until_fixed() {
    let site = TempSite::with(THREE);
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("Comes last");
    site.write("jobs.yaml", &THREE.replace("title: Comes last", "title: Comes very last"));
    screen.wait_for_text("Comes very last");
    site.write("jobs.yaml", &THREE.replace("title: Goes wrong", "titel: Goes wrong"));
    screen.wait_for_text("titel");
    site.write("jobs.yaml", THREE);
    screen.wait_until("the jobs again", |text| text.contains("Goes wrong") && !text.contains("titel"));
    screen.keys("q");
    screen.wait_for_exit();
}

#[test]
fn a_file_with_errors_at_the_start_is_fixed_with_e() {
    let site = TempSite::with("queues:\n  work:\n    - {id: one, titel: One, run: 'true'}\n");
    site.script("editor", "for file; do :; done\nsed -i s/titel/title/ \"$file\"");
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("titel");
    screen.keys("e");
    screen.wait_until("the job", |text| text.contains("One") && text.contains("Pending"));
    screen.keys("q");
    screen.wait_for_exit();
}

#[test]
fn e_opens_the_file_at_the_selected_job() {
    let site = TempSite::with(THREE);
    site.script("vim", "echo \"$@\" >edited");
    let mut command = CommandBuilder::new("sh");
    command.args(["-c", &format!("EDITOR=\"$PWD/vim\" exec {SETLIST}")]);
    let mut screen = Terminal::run(&site, command);
    screen.wait_for_text("Comes last");
    screen.keys("Ge");
    screen.wait_until("the screen again", |_| site.path().join("edited").exists());
    screen.wait_for_text("Comes last");
    let edited = site.read("edited");
    let line = THREE.lines().position(|line| line.contains("Comes last")).unwrap() + 1;
    assert!(edited.contains(&format!("+{line} ")) && edited.trim_end().ends_with("jobs.yaml"), "{edited}");
    screen.signal(Signal::TERM);
    screen.wait_for_exit();
}

#[test]
fn a_terminal_that_is_too_small_says_so() {
    let site = TempSite::with(THREE);
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("Goes well");
    screen.resize(30, 8);
    screen.wait_until("what it needs", |text| text.contains("40") && !text.contains("Goes well"));
    screen.resize(120, 40);
    screen.wait_for_text("Goes well");
    screen.keys("q");
    screen.wait_for_exit();
}

#[test]
fn two_screens_on_one_site_agree() {
    let site = TempSite::with(WAITS);
    let mut one = Terminal::open(&site, &[]);
    let other = Terminal::open(&site, &[]);
    one.wait_for_text("Slow one");
    other.wait_for_text("Slow one");
    one.keys("p");
    one.wait_for_text("begun");
    other.wait_for_text("begun");
    site.write("go", "");
    one.wait_for_text("succeeded");
    other.wait_for_text("succeeded");
}

#[test]
fn hostile_output_stays_in_its_pane() {
    let evil = r"printf '\033]0;owned\007\033[2J\033[1;1HHOME\033[?1049l\033[31mred\033[0m\rX\n\302\233\377end\n'";
    let site = TempSite::with(&format!(
        "queues:\n  work:\n    - {{id: evil, title: Evil, run: \"{}\"}}\n",
        evil.replace('\\', "\\\\")
    ));
    let mut screen = Terminal::open(&site, &["work"]);
    screen.wait_for_text("Evil");
    screen.keys("p");
    let text = screen.wait_for_text("end");
    assert!(text.contains("Finished"), "{text}");
    let drawn = screen.drawn.lock().unwrap();
    assert!(drawn.screen.screen().alternate_screen());
    let raw = String::from_utf8_lossy(&drawn.raw);
    assert!(!raw.contains("owned") && !raw.contains("\u{9b}"), "an escape sequence of a job reached the terminal");
    drop(drawn);
    screen.keys("q");
    wait_for("the end", || screen.child.try_wait().unwrap());
}

#[test]
fn a_log_on_a_terminal_keeps_only_its_colours() {
    let evil = r"printf '\033]0;owned\007\033[2J\033[31mred\033[0m\n'; printf 'un\033[?1049h' >&2; printf 'seen' >&2";
    let site = TempSite::with(&format!("queues:\n  q:\n    - {{id: a, run: \"{}\"}}\n", evil.replace('\\', "\\\\")));
    site.ok(&["process"]);
    for (args, shown) in [(&["log", "q/a"][..], "red"), (&["log", "q/a", "--stderr", "-t"], "unseen")] {
        let screen = Terminal::open(&site, args);
        let text = screen.wait_for_text(shown);
        let raw = String::from_utf8_lossy(&screen.drawn.lock().unwrap().raw).into_owned();
        assert!(!raw.contains("owned") && !raw.contains("[2J") && !raw.contains("1049"), "{raw:?}");
        assert_eq!(raw.contains("\x1b[31mred") || raw.contains("\x1b[0;31mred"), shown == "red", "{raw:?}");
        let times = text.lines().filter(|line| line.get(10..11) == Some("T") && line.get(29..30) == Some(" ")).count();
        assert_eq!(times, usize::from(args.contains(&"-t")), "{text}");
        assert!(screen.wait_for_exit().success());
    }
}

#[test]
fn every_run_of_a_job_can_be_shown() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: a, title: Again, run: 'echo \"printed in run $SETLIST_RUN_ID\"; test -e ok'}\n",
    );
    assert_eq!(site.run(&["process"]).code, Some(1));
    site.write("ok", "");
    site.ok(&["retry", "q/a"]);
    site.wait_until("q/a", |job| job["outcome"] == json!("succeeded"));
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("printed in run 2");
    screen.keys("<");
    screen.wait_for_text("printed in run 1");
    screen.wait_for_text("run 1 of 2, exit code 1");
    screen.keys("<");
    screen.wait_for_text("This is the earliest run");
    screen.keys(">");
    screen.wait_for_text("printed in run 2");
    screen.keys(">");
    screen.wait_for_text("This is the latest run.");
    screen.keys("q");
    screen.wait_for_exit();
}

#[test]
fn a_pty_job_takes_input() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: ask, title: Asks, pty: true, run: 'stty size; printf \"name? \"; read name; echo \"hello $name\"; read end'}\n",
    );
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("Asks");
    screen.keys("i");
    screen.wait_for_text("is not running yet");
    screen.keys("r");
    screen.wait_for_text("name?");
    screen.keys("i");
    screen.wait_for_text("TYPING");
    // Keys that the screen would act on, and non-ASCII text.
    screen.keys("qé\x1b[200~日本\x1b[201~\x7f\x15quit\r");
    screen.wait_for_text("hello quit");
    screen.keys("\x1a");
    screen.wait_until("the screen's own keys", |text| !text.contains("TYPING") && text.contains("? help"));
    screen.keys("i");
    screen.wait_for_text("TYPING");
    screen.keys("\x04");
    screen.wait_for_text("ENDED");
    screen.keys("q\x1b");
    screen.wait_until("the screen's own keys", |text| !text.contains("ENDED") && text.contains("? help"));
    let log = site.ok(&["log", "q/ask"]);
    assert!(log.contains("name? ") && log.contains("hello quit"), "{log}");
    screen.keys("q");
    screen.wait_for_exit();
}

#[test]
fn a_pty_job_has_the_size_of_its_pane() {
    let run = "row() { set -- $(stty size); printf \"%*s\" $(($2 - 1)) | tr ' ' '#'; echo E; }
      trap row WINCH; row; while :; do sleep 0.01; done";
    let lines = run.replace('\n', "\n          ");
    let site = TempSite::with(&format!(
        "queues:\n  q:\n    - id: size\n      title: Sized\n      pty: true\n      run: |\n          {lines}\n"
    ));
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("Sized");
    screen.keys("r");
    // A row as wide as the job's terminal ends at the edge of the pane.
    let fits = |width: usize| {
        move |text: &str| {
            let mut rows = text.lines().filter(|row| row.trim_end().ends_with('E') && row.contains('#'));
            rows.next_back().is_some_and(|row| row.chars().count() == width && row.ends_with("####E"))
        }
    };
    screen.wait_until("a row in the pane", fits(80));
    screen.resize(120, 40);
    screen.wait_until("a row in the new pane", fits(120));
    screen.keys("\r");
    screen.wait_until("a row in the whole screen", |text| fits(120)(text) && !text.contains("Pending"));
    screen.keys("x");
    screen.wait_for_text("cancelled");
    screen.keys("q");
    screen.wait_for_exit();
}

#[test]
fn the_pager_shows_the_output_and_returns_to_the_screen() {
    let evil = r"printf '\033[31mred\033[0m \033]0;owned\007line\n'; seq 1 1000";
    let site = TempSite::with(&format!(
        "queues:\n  q:\n    - {{id: a, title: Prints, run: \"{}\"}}\n",
        evil.replace('\\', "\\\\")
    ));
    site.ok(&["process"]);
    site.script(
        "pager",
        "cat >paged; stty size </dev/tty >>paged; printf 'in the pager'; read key </dev/tty; echo \"key $key\" >>paged",
    );
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("\n 999");
    screen.keys("o");
    screen.wait_for_text("in the pager");
    assert!(!screen.drawn.lock().unwrap().screen.screen().alternate_screen());
    screen.keys("q\r");
    screen.wait_until("the screen again", |text| text.contains("Finished") && !text.contains("in the pager"));
    let paged = site.read("paged");
    assert!(
        paged.starts_with("\x1b[0;31mred\x1b[0m line\n1\n2\n") || paged.starts_with("\x1b[31mred"),
        "{:?}",
        paged.get(..60)
    );
    assert!(
        paged.contains("\n1000\n24 80\nkey q\n") && !paged.contains("owned"),
        "the pager has the terminal and the keys"
    );
    // A pager that exits without reading, and one that doesn't exist.
    site.script("pager", "exit 0");
    screen.keys("o");
    screen.wait_for_text("Finished");
    std::fs::remove_file(site.join("pager")).unwrap();
    screen.keys("o");
    screen.wait_for_text("Pager ");
    screen.keys("q");
    screen.wait_for_exit();
}

#[test]
fn copied_text_goes_to_the_terminal() {
    let site = TempSite::with(THREE);
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("Goes well");
    screen.keys("y");
    screen.wait_for_text("Copied work/good");
    let raw = screen.raw();
    assert!(raw.contains("\x1b]52;c;d29yay9nb29k\x1b\\") || raw.contains("\x1b]52;c;d29yay9nb29k\x07"), "{raw:?}");
    screen.keys("q");
    screen.wait_for_exit();
}

#[test]
fn the_screen_stays_usable_while_jobs_flood_their_logs() {
    // It exits by itself if this test is killed.
    let flood = "timeout 100 yes 'a line of output that is repeated on and on'";
    let jobs = [0, 1, 2].map(|n| format!("      - {{id: f{n}, title: Flood {n}, run: \"{flood}\"}}\n")).concat();
    let site = TempSite::with(&format!("queues:\n  q:\n    title: Floods\n    parallel: 3\n    jobs:\n{jobs}"));
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("Flood 2");
    screen.keys("p");
    screen.wait_for_text("repeated on and on");
    let log = site.join(".setlist/logs");
    wait_for("much output", || {
        let written: u64 =
            std::fs::read_dir(&log).ok()?.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum();
        (written > 40 << 20).then_some(())
    });
    for _ in 0..3 {
        screen.keys("?");
        screen.wait_for_text("─ Help ─");
        screen.keys("\x1b");
        screen.wait_until("the lists", |text| !text.contains("─ Help ─"));
        screen.keys("T");
        screen.wait_until("the tiles", |text| text.matches("▸ Flood").count() == 3 && !text.contains("Finished"));
        // The log may drop the visible part at that moment: then the view follows again.
        wait_for("a view that is held", || {
            screen.keys("K");
            screen.text().contains("new").then_some(())
        });
        screen.keys("T");
        screen.wait_for_text("Finished");
    }
    screen.keys("Q");
    screen.wait_for_text("Esc go back");
    screen.keys("y");
    screen.wait_for_exit();
    for n in 0..3 {
        site.wait_until(&format!("q/f{n}"), |job| job["outcome"] == json!("cancelled"));
    }
}
