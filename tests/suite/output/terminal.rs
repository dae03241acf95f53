//! The live terminal: what a run in a pseudo-terminal shows, whichever size it printed for and however much it prints.

use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use setlist::model::WindowSize;
use setlist::tui::keys::Key;
use setlist::tui::output::{News, Progress, Scroll, Status, Terminal};

use super::growing::{Log, look, rows};

/// A terminal on a screen of its own.
struct Pane {
    terminal: Terminal,
    area: Rect,
    buffer: Buffer,
    cursor: Option<(u16, u16)>,
}

fn size(columns: u16, rows: u16) -> WindowSize {
    WindowSize { columns, rows }
}

impl Pane {
    /// With everything read.
    fn new(log: &Log, columns: u16, rows: u16) -> Self {
        let area = Rect::new(0, 0, columns, rows);
        let terminal = Terminal::new(log.clone(), size(columns, rows));
        let mut pane = Self { terminal, area, buffer: Buffer::empty(area), cursor: None };
        pane.refresh();
        pane
    }

    /// Until there is no more to do.
    fn refresh(&mut self) {
        while self.terminal.refresh() {}
    }

    fn resize(&mut self, columns: u16, rows: u16, live: bool) {
        self.area = Rect::new(0, 0, columns, rows);
        self.terminal.resize(size(columns, rows), live);
        self.refresh();
    }

    fn draw(&mut self) -> Status {
        self.buffer = Buffer::empty(self.area);
        let (status, cursor) = self.terminal.draw(self.area, &mut self.buffer, &look());
        self.cursor = cursor;
        status
    }

    /// The rows that have something on them, as they are drawn.
    fn rows(&mut self) -> Vec<String> {
        self.draw();
        let mut rows = rows(&self.buffer);
        let used = rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1);
        rows.truncate(used);
        rows
    }

    fn press(&self, keys: &str) -> String {
        let keyboard = self.terminal.keyboard();
        let sent = Key::row(keys).unwrap().into_iter().flat_map(|key| keyboard.press(key)).collect();
        String::from_utf8(sent).unwrap()
    }
}

fn numbered(lines: std::ops::Range<usize>) -> String {
    lines.fold(String::new(), |text, line| text + "line " + &line.to_string() + "\r\n")
}

#[test]
fn a_progress_bar_shows_its_last_state() {
    let log = Log::of("build\r\n[#   ] 25%\r[##  ] 50%");
    let mut pane = Pane::new(&log, 40, 5);
    assert_eq!(pane.rows(), ["build", "[##  ] 50%"]);
    assert_eq!(pane.cursor, Some((10, 1)), "where the job has it");
    log.append("\r\x1b[Kdone\r\n");
    pane.refresh();
    assert_eq!(pane.rows(), ["build", "done"]);
}

#[test]
fn colours_are_those_of_the_job() {
    let log = Log::of("\x1b[31mA\x1b[38;5;208mB\x1b[38;2;1;2;3mC\x1b[0;48;5;20;1mD\x1b[0mE");
    let mut pane = Pane::new(&log, 10, 2);
    pane.draw();
    let style = |x: u16| pane.buffer[(x, 0)].style();
    assert_eq!(style(0).fg, Some(Color::Red));
    assert_eq!(style(1).fg, Some(Color::Indexed(208)));
    assert_eq!(style(2).fg, Some(Color::Rgb(1, 2, 3)));
    assert_eq!((style(3).bg, style(3).add_modifier), (Some(Color::Indexed(20)), Modifier::BOLD));
    assert_eq!((style(4).fg, style(4).bg), (Some(Color::Reset), Some(Color::Reset)));
    let mut plain = Buffer::empty(pane.area);
    pane.terminal.draw(pane.area, &mut plain, &setlist::tui::output::Look { colours: false, ..look() });
    assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(plain[(3, 0)].modifier.contains(Modifier::BOLD));
}

#[test]
fn a_full_screen_program_has_the_screen_until_it_gives_it_back() {
    let log = Log::of("before\r\n\x1b[?1049h\x1b[2J\x1b[3;5Hmiddle\x1b[1;1Htop\x1b[?25l");
    let mut pane = Pane::new(&log, 20, 5);
    assert_eq!(pane.rows(), ["top", "", "    middle"]);
    assert_eq!(pane.cursor, None, "it hides the cursor");
    assert!(pane.terminal.is_full_screen());
    assert!(!pane.terminal.scroll(Scroll::Rows(-1)), "there is nothing above it");
    log.append("\x1b[?25h\x1b[?1049lafter\r\n");
    pane.refresh();
    assert_eq!(pane.rows(), ["before", "after"]);
    assert!(!pane.terminal.is_full_screen());
}

#[test]
fn scrolling_back_holds_the_picture_and_says_that_there_is_more() {
    let log = Log::of(numbered(0..50));
    let mut pane = Pane::new(&log, 20, 4);
    assert_eq!(pane.rows(), ["line 47", "line 48", "line 49"]);
    assert!(pane.terminal.scroll(Scroll::Rows(-2)));
    let held = pane.rows();
    assert_eq!(held, ["line 45", "line 46", "line 47", "line 48"]);
    assert_eq!(pane.draw().news, News::None);
    log.append(numbered(50..60));
    pane.refresh();
    assert_eq!(pane.rows(), held);
    assert_eq!(pane.draw().news, News::Some);
    assert_eq!(pane.cursor, None, "what is typed isn't where one looks");
    assert!(pane.terminal.scroll(Scroll::Home));
    assert_eq!(pane.rows()[0], "line 0");
    assert!(!pane.terminal.scroll(Scroll::Rows(-1)), "that is all");
    pane.terminal.follow();
    pane.refresh();
    assert_eq!(pane.rows(), ["line 57", "line 58", "line 59"]);
    pane.terminal.scroll(Scroll::Rows(-1));
    pane.terminal.scroll(Scroll::Rows(1));
    assert!(pane.terminal.is_following());
}

#[test]
fn what_was_printed_for_another_width_is_wrapped_as_it_was_then() {
    let log = Log::default();
    log.resized(20, 6);
    // A program that knows how wide its terminal is, and goes back up over what takes two rows there.
    log.append("0123456789abcdefghijklmno\x1b[1Afirst\r\n\nlast");
    // In 40 columns that would overwrite the line above.
    let mut pane = Pane::new(&log, 40, 6);
    assert_eq!(pane.rows(), ["01234firstabcdefghijklmno", "last"]);
    log.append("!");
    pane.refresh();
    assert_eq!(pane.rows(), ["01234firstabcdefghijklmno", "last!"]);
    // While the run goes on it is shown as it prints.
    let mut live = pane;
    live.resize(40, 6, true);
    live.refresh();
    assert_eq!(live.rows(), ["01234firstabcdefghij", "klmno", "last!"]);
    log.resized(40, 6);
    log.append("?");
    live.refresh();
    assert_eq!(live.rows(), ["01234firstabcdefghijklmno", "last!?"]);
}

#[test]
fn a_run_in_a_higher_terminal_is_shown_where_its_cursor_is() {
    let log = Log::default();
    log.resized(20, 10);
    log.append("\x1b[2J\x1b[1;1Hone\x1b[9;1Hnine\x1b[10;1Hten");
    let mut pane = Pane::new(&log, 20, 3);
    pane.resize(20, 3, true);
    log.append("!");
    pane.refresh();
    assert_eq!(pane.rows(), ["", "nine", "ten!"]);
    assert_eq!(pane.cursor, Some((4, 2)));
    assert!(pane.terminal.scroll(Scroll::Home));
    assert_eq!(pane.rows(), ["one"]);
}

#[test]
fn of_much_output_little_is_read_at_once_and_the_end_is_shown() {
    let log = Log::of(numbered(0..400_000));
    let mut terminal = Terminal::new(log.clone(), size(80, 24));
    let mut most = 0;
    while terminal.refresh() {
        most = most.max(log.take_read());
    }
    assert!(most < 2 << 20, "{most}");
    let mut pane = Pane::new(&log, 20, 3);
    assert_eq!(pane.rows(), ["line 399998", "line 399999"]);
    log.append(numbered(400_000..500_000));
    pane.refresh();
    assert_eq!(pane.rows(), ["line 499998", "line 499999"]);
    assert!(pane.terminal.scroll(Scroll::Rows(-500)), "some of what came before can be scrolled to");
    // The middle was dropped from the log.
    let end = 5 << 20;
    log.lose(100_000..end);
    let mut pane = Pane::new(&log, 20, 3);
    assert_eq!(pane.rows(), ["line 499998", "line 499999"]);
}

#[test]
fn what_a_program_set_up_long_ago_still_holds() {
    let mut text = "\x1b[?1h\x1b[?2004h\x1b]9;4;1;40\x07".to_owned();
    text.push_str(&numbered(0..100_000));
    let pane = Pane::new(&Log::of(text), 20, 3);
    assert_eq!(pane.press("<Up>"), "\x1bOA");
    assert_eq!(pane.terminal.keyboard().paste("a\nb"), b"\x1b[200~a\nb\x1b[201~");
    assert_eq!(pane.terminal.progress(), Progress::Normal(40));
}

#[test]
fn keys_are_sent_as_a_terminal_sends_them() {
    let pane = Pane::new(&Log::default(), 20, 3);
    for (keys, sent) in [
        ("aé日", "aé日"),
        ("<Enter>", "\r"),
        ("<^c>", "\x03"),
        ("<^d>", "\x04"),
        ("<Esc>", "\x1b"),
        ("<M-x>", "\x1bx"),
        ("<Backspace>", "\x7f"),
        ("<Up><Left>", "\x1b[A\x1b[D"),
        ("<Tab><S-Tab>", "\t\x1b[Z"),
        ("<PgUp><Del>", "\x1b[5~\x1b[3~"),
        ("<F1><F5>", "\x1bOP\x1b[15~"),
    ] {
        assert_eq!(pane.press(keys), sent, "{keys}");
    }
    assert_eq!(pane.terminal.keyboard().paste("a\r\nb\nc"), b"a\rb\rc");
    let marked = Pane::new(&Log::of("\x1b[?2004h"), 20, 3);
    // What is pasted can't pretend to be typed.
    assert_eq!(marked.terminal.keyboard().paste("a\x1b[201~b"), b"\x1b[200~a[201~b\x1b[201~");
}

#[test]
fn hostile_output_leaves_nothing_but_cells() {
    let log = Log::of(
        "\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b[c\x1b[6n\x1bPq#0\x1b\\\x1b[9999b\x1b[99999;99999H\x1b[?9999h\u{9b}31mX\u{202e}Y",
    );
    log.append(b"\xc2");
    let mut pane = Pane::new(&log, 20, 4);
    let text = pane.rows().concat();
    assert!(!text.contains("owned") && !text.contains("b3du"), "{text:?}");
    assert!(text.chars().all(|character| !character.is_control() && character != '\u{202e}'), "{text:?}");
}

#[test]
fn a_log_that_can_not_be_read_says_so_and_comes_back() {
    let log = Log::of("hello");
    log.refuse(true);
    let mut pane = Pane::new(&log, 60, 3);
    assert!(pane.rows()[0].starts_with("The output can't be read: "), "{:?}", pane.rows());
    log.refuse(false);
    pane.refresh();
    assert_eq!(pane.rows(), ["hello"]);
}

#[derive(Clone, Debug)]
enum Act {
    Print(Vec<u8>),
    Printed(u16, u16),
    Resize(u16, u16, bool),
    Scroll(isize),
    Refresh,
    Follow,
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => "([a-z ]|日|é|\r\n|\r|\t){0,40}".prop_map(String::into_bytes),
        2 => "\x1b\\[\\??[0-9]{0,3}(;[0-9]{0,3})?[A-Za-z]".prop_map(String::into_bytes),
        1 => prop::sample::select(vec!["\x1b[?1049h", "\x1b[?1049l", "\x1b[2J", "\x1bc", "\x1b]9;4;1;5\x07"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => piece().prop_map(Act::Print),
        1 => (1_u16..60, 1_u16..20).prop_map(|(columns, rows)| Act::Printed(columns, rows)),
        1 => (0_u16..60, 0_u16..20, any::<bool>()).prop_map(|(columns, rows, live)| Act::Resize(columns, rows, live)),
        1 => (-30_isize..30).prop_map(Act::Scroll),
        3 => Just(Act::Refresh),
        1 => Just(Act::Follow),
    ];
    proptest::collection::vec(act, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// However it came there, what is shown of a run that goes on is what one sees who only looks now.
    #[test]
    fn a_terminal_shows_what_is_in_the_log(acts in acts()) {
        let log = Log::default();
        log.resized(30, 8);
        let mut pane = Pane::new(&log, 30, 8);
        for act in acts {
            match act {
                Act::Print(bytes) => log.append(bytes),
                Act::Printed(columns, rows) => log.resized(columns, rows),
                Act::Resize(columns, rows, live) => {
                    pane.area = Rect::new(0, 0, columns, rows);
                    pane.terminal.resize(size(columns, rows), live);
                }
                Act::Scroll(by) => drop(pane.terminal.scroll(Scroll::Rows(by))),
                Act::Refresh => pane.refresh(),
                Act::Follow => pane.terminal.toggle_follow(),
            }
            pane.draw();
        }
        log.append("end");
        pane.resize(25, 7, true);
        pane.terminal.follow();
        pane.refresh();
        let mut fresh = Pane::new(&log, 25, 7);
        fresh.resize(25, 7, true);
        prop_assert_eq!(pane.rows(), fresh.rows());
        prop_assert_eq!(pane.cursor, fresh.cursor);
        prop_assert_eq!(pane.buffer, fresh.buffer);
    }
}
