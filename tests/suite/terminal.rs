//! The whole program in a real pseudo-terminal: real keys, real jobs, what the screen shows.

mod added;

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use vt100::MouseProtocolMode;

use crate::room::{MARK, Room, SETLIST, wait_for};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Terminal {
    pub(crate) child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    master: Option<Box<dyn MasterPty + Send>>,
    drawn: Arc<Mutex<Drawn>>,
    news: Receiver<()>,
}

struct Drawn {
    screen: vt100::Parser,
    raw: Vec<u8>,
}

impl Terminal {
    /// `setlist ARGS` in this room, in a terminal of 80x24.
    pub(crate) fn open(room: &Room, args: &[&str]) -> Self {
        let mut command = CommandBuilder::new(SETLIST);
        command.args(args);
        Self::run(room, command)
    }

    /// Any program in this room, in a terminal of 80x24.
    pub(crate) fn run(room: &Room, mut command: CommandBuilder) -> Self {
        let pair = native_pty_system().openpty(size(80, 24)).unwrap();
        command.cwd(room.path());
        command.env("TERM", "xterm-256color");
        command.env("XDG_CONFIG_HOME", room.join("config"));
        command.env("EDITOR", room.join("editor"));
        command.env("PAGER", room.join("pager"));
        command.env(MARK, room.path());
        for name in ["SETLIST_FILE", "SETLIST_STATE", "SETLIST_STORE", "NO_COLOR", "VISUAL", "TMUX", "STY", "LESS"] {
            command.env_remove(name);
        }
        // A long trace would push what a panic says off the screen.
        command.env_remove("RUST_BACKTRACE");
        let child = pair.slave.spawn_command(command).unwrap();
        let drawn =
            Arc::new(Mutex::new(Drawn { screen: vt100::Parser::new(cells(24), cells(80), 0), raw: Vec::new() }));
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
        Self { child, keys, master: Some(pair.master), drawn, news }
    }

    pub(crate) fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// What was written to the terminal up to now.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.drawn.lock().unwrap().raw).into_owned()
    }

    /// What a program on the alternate screen has turned on and not off again.
    pub(crate) fn taken(&self) -> Vec<&'static str> {
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

    /// Waits until the screen is as wanted; returns what it shows.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if wanted(&text) {
                return text;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(self.news.recv_timeout(left).is_ok() || wanted(&self.text()), "waited in vain for {what}:\n{text}");
        }
    }

    #[track_caller]
    pub(crate) fn until_shows(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.drawn.lock().unwrap().screen.screen_mut().set_size(cells(rows), cells(columns));
        self.master.as_ref().unwrap().resize(size(columns, rows)).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.process_id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits for the program's end, and checks that it left the terminal as it found it.
    #[track_caller]
    pub(crate) fn ended(mut self) -> ExitStatus {
        let status = wait_for("the program to leave", || self.child.try_wait().unwrap());
        // The reader has seen all there is when its channel closes.
        self.master.take();
        while self.news.recv_timeout(PATIENCE).is_ok() {}
        assert_eq!(self.taken(), [""; 0], "left on");
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

/// A job that runs until the file `go` is there.
const WAITS: &str = "queues:\n  work:\n    - {id: slow, title: Slow one, run: 'echo begun; while [ ! -e go ]; do sleep 0.01; done; echo over'}\n";

#[test]
fn opening_starts_nothing_and_p_processes() {
    let room = Room::with(THREE);
    let mut screen = Terminal::open(&room, &[]);
    let text = screen.until_shows("Comes last");
    assert!(text.contains("Pending") && text.contains("Finished"), "{text}");
    assert!(room.ok(&["status"]).contains("idle"));
    screen.keys("p");
    screen.until("three finished jobs", |text| text.contains("exit code 3") || text.matches("succeeded").count() >= 2);
    room.until("work/last", |job| job["outcome"] == json!("succeeded"));
    assert_eq!(room.job("work/bad")["outcome"], json!("failed"));
    screen.keys("q");
    assert!(screen.ended().success());
}

#[test]
fn quitting_leaves_the_job_running_and_the_record_is_there() {
    let room = Room::with(WAITS);
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("Slow one");
    screen.keys("p");
    screen.until_shows("begun");
    screen.keys("q");
    assert!(screen.ended().success());
    assert_eq!(room.job("work/slow")["state"], json!("running"));
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("begun");
    room.write("go", "");
    screen.until_shows("over");
    assert_eq!(room.until("work/slow", |job| job["state"] == json!("finished"))["value"], json!("over"));
    screen.keys("q");
    screen.ended();
}

#[test]
fn killing_the_screen_never_touches_a_job() {
    let room = Room::with(WAITS);
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("Slow one");
    screen.keys("p");
    screen.until_shows("begun");
    screen.signal(Signal::KILL);
    screen.child.wait().unwrap();
    room.write("go", "");
    assert_eq!(room.until("work/slow", |job| job["state"] == json!("finished"))["outcome"], json!("succeeded"));
}

#[test]
fn the_terminal_is_restored_after_a_signal() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let room = Room::with(THREE);
        let screen = Terminal::open(&room, &[]);
        screen.until_shows("Pending");
        screen.signal(signal);
        screen.ended();
    }
}

#[test]
fn a_mistyped_command_creates_no_queue() {
    let room = Room::with(THREE);
    let mut screen = Terminal::open(&room, &["statsu"]);
    screen.until_shows("did you mean `setlist status`?");
    assert_eq!(screen.child.wait().unwrap().exit_code(), 2);
    assert!(!room.ok(&["status"]).contains("statsu"));
}

#[test]
fn an_open_screen_notices_that_the_worker_has_died() {
    let room = Room::with(WAITS);
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("Slow one");
    screen.keys("r");
    screen.until_shows("begun");
    kill_process(room.worker(), Signal::KILL).unwrap();
    screen.until_shows("a worker has died: 1 job interrupted");
    screen.until_shows("✗ 1 failed");
    screen.keys("q");
    screen.ended();
}

#[test]
fn x_cancels_a_running_job_and_r_runs_it_again() {
    let room = Room::with(WAITS);
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("Slow one");
    screen.keys("r");
    screen.until_shows("begun");
    screen.keys("x");
    let text = screen.text();
    if text.contains("y/N") || !text.contains("cancelled") {
        screen.until("a question or the end", |text| text.contains("y/N") || text.contains("cancelled"));
        screen.keys("y");
    }
    room.until("work/slow", |job| job["outcome"] == json!("cancelled"));
    screen.until_shows("cancelled");
    room.write("go", "");
    screen.keys("r");
    let job = room.until("work/slow", |job| job["outcome"] == json!("succeeded"));
    assert_eq!(job["run_count"], json!(2));
    screen.until_shows("over");
    screen.keys("q");
    screen.ended();
}

#[test]
fn a_saved_file_is_read_again_and_a_broken_one_is_shown_until_it_is_mended() {
    let room = Room::with(THREE);
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("Comes last");
    room.write("jobs.yaml", &THREE.replace("title: Comes last", "title: Comes very last"));
    screen.until_shows("Comes very last");
    room.write("jobs.yaml", &THREE.replace("title: Goes wrong", "titel: Goes wrong"));
    screen.until_shows("titel");
    room.write("jobs.yaml", THREE);
    screen.until("the jobs again", |text| text.contains("Goes wrong") && !text.contains("titel"));
    screen.keys("q");
    screen.ended();
}

#[test]
fn a_broken_file_at_the_start_is_mended_with_e() {
    let room = Room::with("queues:\n  work:\n    - {id: one, titel: One, run: 'true'}\n");
    room.script("editor", "for file; do :; done\nsed -i s/titel/title/ \"$file\"");
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("titel");
    screen.keys("e");
    screen.until("the job", |text| text.contains("One") && text.contains("Pending"));
    screen.keys("q");
    screen.ended();
}

#[test]
fn e_opens_the_file_at_the_job_under_the_cursor() {
    let room = Room::with(THREE);
    room.script("vim", "echo \"$@\" >edited");
    let mut command = CommandBuilder::new("sh");
    command.args(["-c", &format!("EDITOR=\"$PWD/vim\" exec {SETLIST}")]);
    let mut screen = Terminal::run(&room, command);
    screen.until_shows("Comes last");
    screen.keys("Ge");
    screen.until("the screen again", |_| room.path().join("edited").exists());
    screen.until_shows("Comes last");
    let edited = room.read("edited");
    let line = THREE.lines().position(|line| line.contains("Comes last")).unwrap() + 1;
    assert!(edited.contains(&format!("+{line} ")) && edited.trim_end().ends_with("jobs.yaml"), "{edited}");
    screen.signal(Signal::TERM);
    screen.ended();
}

#[test]
fn a_window_that_is_too_small_says_so_and_comes_back() {
    let room = Room::with(THREE);
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("Goes well");
    screen.resize(30, 8);
    screen.until("what it needs", |text| text.contains("40") && !text.contains("Goes well"));
    screen.resize(120, 40);
    screen.until_shows("Goes well");
    screen.keys("q");
    screen.ended();
}

#[test]
fn two_screens_on_one_site_agree() {
    let room = Room::with(WAITS);
    let mut one = Terminal::open(&room, &[]);
    let other = Terminal::open(&room, &[]);
    one.until_shows("Slow one");
    other.until_shows("Slow one");
    one.keys("p");
    one.until_shows("begun");
    other.until_shows("begun");
    room.write("go", "");
    one.until_shows("succeeded");
    other.until_shows("succeeded");
}

#[test]
fn hostile_output_stays_in_its_pane() {
    let evil = r"printf '\033]0;owned\007\033[2J\033[1;1HHOME\033[?1049l\033[31mred\033[0m\rX\n\302\233\377end\n'";
    let room = Room::with(&format!(
        "queues:\n  work:\n    - {{id: evil, title: Evil, run: \"{}\"}}\n",
        evil.replace('\\', "\\\\")
    ));
    let mut screen = Terminal::open(&room, &["work"]);
    screen.until_shows("Evil");
    screen.keys("p");
    let text = screen.until_shows("end");
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
fn a_log_on_a_terminal_has_its_colours_and_nothing_else() {
    let evil = r"printf '\033]0;owned\007\033[2J\033[31mred\033[0m\n'; printf 'un\033[?1049h' >&2; printf 'seen' >&2";
    let room = Room::with(&format!("queues:\n  q:\n    - {{id: a, run: \"{}\"}}\n", evil.replace('\\', "\\\\")));
    room.ok(&["process"]);
    for (args, shown) in [(&["log", "q/a"][..], "red"), (&["log", "q/a", "--stderr", "-t"], "unseen")] {
        let screen = Terminal::open(&room, args);
        let text = screen.until_shows(shown);
        let raw = String::from_utf8_lossy(&screen.drawn.lock().unwrap().raw).into_owned();
        assert!(!raw.contains("owned") && !raw.contains("[2J") && !raw.contains("1049"), "{raw:?}");
        assert_eq!(raw.contains("\x1b[31mred") || raw.contains("\x1b[0;31mred"), shown == "red", "{raw:?}");
        let times = text.lines().filter(|line| line.get(10..11) == Some("T") && line.get(29..30) == Some(" ")).count();
        assert_eq!(times, usize::from(args.contains(&"-t")), "{text}");
        assert!(screen.ended().success());
    }
}

#[test]
fn every_run_of_a_job_can_be_looked_at() {
    let room = Room::with(
        "queues:\n  q:\n    - {id: a, title: Again, run: 'echo \"said in run $SETLIST_RUN_ID\"; test -e ok'}\n",
    );
    assert_eq!(room.run(&["process"]).code, Some(1));
    room.write("ok", "");
    room.ok(&["retry", "q/a"]);
    room.until("q/a", |job| job["outcome"] == json!("succeeded"));
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("said in run 2");
    screen.keys("<");
    screen.until_shows("said in run 1");
    screen.until_shows("run 1 of 2, exit code 1");
    screen.keys("<");
    screen.until_shows("this is the first of its runs");
    screen.keys(">");
    screen.until_shows("said in run 2");
    screen.keys(">");
    screen.until_shows("this is its latest run");
    screen.keys("q");
    screen.ended();
}

#[test]
fn a_job_in_a_terminal_is_typed_into() {
    let room = Room::with(
        "queues:\n  q:\n    - {id: ask, title: Asks, pty: true, run: 'stty size; printf \"name? \"; read name; echo \"hello $name\"; read end'}\n",
    );
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("Asks");
    screen.keys("i");
    screen.until_shows("doesn't run yet");
    screen.keys("r");
    screen.until_shows("name?");
    screen.keys("i");
    screen.until_shows("TYPING");
    // Keys that would do something to the screen, and text beyond ASCII.
    screen.keys("qé\x1b[200~日本\x1b[201~\x7f\x15quit\r");
    screen.until_shows("hello quit");
    screen.keys("\x1a");
    screen.until("the screen's own keys", |text| !text.contains("TYPING") && text.contains("? help"));
    screen.keys("i");
    screen.until_shows("TYPING");
    screen.keys("\x04");
    screen.until_shows("ENDED");
    screen.keys("q\x1b");
    screen.until("the screen's own keys", |text| !text.contains("ENDED") && text.contains("? help"));
    let log = room.ok(&["log", "q/ask"]);
    assert!(log.contains("name? ") && log.contains("hello quit"), "{log}");
    screen.keys("q");
    screen.ended();
}

#[test]
fn a_job_in_a_terminal_has_the_size_of_its_pane() {
    let run = "row() { set -- $(stty size); printf \"%*s\" $(($2 - 1)) | tr ' ' '#'; echo E; }
      trap row WINCH; row; while :; do sleep 0.01; done";
    let lines = run.replace('\n', "\n          ");
    let room = Room::with(&format!(
        "queues:\n  q:\n    - id: size\n      title: Sized\n      pty: true\n      run: |\n          {lines}\n"
    ));
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("Sized");
    screen.keys("r");
    // What is as wide as the terminal ends at the edge of the pane.
    let fits = |width: usize| {
        move |text: &str| {
            let mut rows = text.lines().filter(|row| row.trim_end().ends_with('E') && row.contains('#'));
            rows.next_back().is_some_and(|row| row.chars().count() == width && row.ends_with("####E"))
        }
    };
    screen.until("a row in the pane", fits(80));
    screen.resize(120, 40);
    screen.until("a row in the new pane", fits(120));
    screen.keys("\r");
    screen.until("a row in the whole screen", |text| fits(120)(text) && !text.contains("Pending"));
    screen.keys("x");
    screen.until_shows("cancelled");
    screen.keys("q");
    screen.ended();
}

#[test]
fn the_output_is_read_in_the_pager_and_the_screen_comes_back() {
    let evil = r"printf '\033[31mred\033[0m \033]0;owned\007line\n'; seq 1 1000";
    let room = Room::with(&format!(
        "queues:\n  q:\n    - {{id: a, title: Prints, run: \"{}\"}}\n",
        evil.replace('\\', "\\\\")
    ));
    room.ok(&["process"]);
    room.script(
        "pager",
        "cat >paged; stty size </dev/tty >>paged; printf 'in the pager'; read key </dev/tty; echo \"key $key\" >>paged",
    );
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("\n 999");
    screen.keys("o");
    screen.until_shows("in the pager");
    assert!(!screen.drawn.lock().unwrap().screen.screen().alternate_screen());
    screen.keys("q\r");
    screen.until("the screen again", |text| text.contains("Finished") && !text.contains("in the pager"));
    let paged = room.read("paged");
    assert!(
        paged.starts_with("\x1b[0;31mred\x1b[0m line\n1\n2\n") || paged.starts_with("\x1b[31mred"),
        "{:?}",
        paged.get(..60)
    );
    assert!(paged.contains("\n1000\n24 80\nkey q\n") && !paged.contains("owned"), "the pager has terminal and keys");
    // One that ends without reading anything, and one that isn't there.
    room.script("pager", "exit 0");
    screen.keys("o");
    screen.until_shows("Finished");
    std::fs::remove_file(room.join("pager")).unwrap();
    screen.keys("o");
    screen.until_shows("there is no pager");
    screen.keys("q");
    screen.ended();
}

#[test]
fn what_is_copied_goes_to_the_terminal() {
    let room = Room::with(THREE);
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("Goes well");
    screen.keys("y");
    screen.until_shows("copied work/good");
    let raw = screen.raw();
    assert!(raw.contains("\x1b]52;c;d29yay9nb29k\x1b\\") || raw.contains("\x1b]52;c;d29yay9nb29k\x07"), "{raw:?}");
    screen.keys("q");
    screen.ended();
}

#[test]
fn what_is_copied_goes_through_tmux() {
    let room = Room::with(THREE);
    room.script("tmux", "echo \"$@\" >told; cat >copied");
    let mut command = CommandBuilder::new("sh");
    command.args(["-c", &format!("TMUX=here PATH=\"$PWD:$PATH\" exec {SETLIST}")]);
    let mut screen = Terminal::run(&room, command);
    screen.until_shows("Goes well");
    screen.keys("y");
    screen.until_shows("copied work/good");
    assert_eq!((room.read("told").trim(), room.read("copied").as_str()), ("load-buffer -w -", "work/good"));
    assert!(!screen.raw().contains("]52;"), "tmux tells the terminal itself");
    screen.keys("q");
    screen.ended();
}

#[test]
fn a_job_that_floods_its_log_leaves_the_screen_usable() {
    // It ends by itself should this test be killed.
    let flood = "timeout 100 yes 'a line of output that goes on and on and on'";
    let jobs = [0, 1, 2].map(|n| format!("      - {{id: f{n}, title: Flood {n}, run: \"{flood}\"}}\n")).concat();
    let room = Room::with(&format!("queues:\n  q:\n    title: Floods\n    parallel: 3\n    jobs:\n{jobs}"));
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("Flood 2");
    screen.keys("p");
    screen.until_shows("goes on and on");
    let log = room.join(".setlist/logs");
    wait_for("much output", || {
        let written: u64 =
            std::fs::read_dir(&log).ok()?.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum();
        (written > 40 << 20).then_some(())
    });
    for _ in 0..3 {
        screen.keys("?");
        screen.until_shows("─ Help ─");
        screen.keys("\x1b");
        screen.until("the lists", |text| !text.contains("─ Help ─"));
        screen.keys("T");
        screen.until("the tiles", |text| text.matches("▸ Flood").count() == 3 && !text.contains("Finished"));
        // What is looked at may be dropped in the same moment: then the view follows again.
        wait_for("a view that is held", || {
            screen.keys("K");
            screen.text().contains("new").then_some(())
        });
        screen.keys("T");
        screen.until_shows("Finished");
    }
    screen.keys("Q");
    screen.until_shows("y/N");
    screen.keys("y");
    screen.ended();
    for n in 0..3 {
        room.until(&format!("q/f{n}"), |job| job["outcome"] == json!("cancelled"));
    }
}
