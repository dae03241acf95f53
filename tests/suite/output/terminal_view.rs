//! The terminal view: output for any terminal size, in any amount.

use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use setlist::model::WindowSize;
use setlist::tui::keys::KeyPress;
use setlist::tui::output::{JobProgress, NewOutput, Scroll, TerminalView, ViewStatus};

use super::memory_log::{MemoryLog, rows, styles};

/// A terminal view with a buffer to draw into.
struct TerminalHarness {
    terminal: TerminalView,
    area: Rect,
    buffer: Buffer,
    cursor: Option<(u16, u16)>,
}

fn size(columns: u16, rows: u16) -> WindowSize {
    WindowSize { columns, rows }
}

impl TerminalHarness {
    /// A view that has read everything.
    fn new(log: &MemoryLog, columns: u16, rows: u16) -> Self {
        let area = Rect::new(0, 0, columns, rows);
        let terminal = TerminalView::new(log.clone(), size(columns, rows));
        let mut pane = Self { terminal, area, buffer: Buffer::empty(area), cursor: None };
        pane.refresh();
        pane
    }

    /// Refreshes until there is no more to read.
    fn refresh(&mut self) {
        while self.terminal.refresh() {}
    }

    fn resize(&mut self, columns: u16, rows: u16, live: bool) {
        self.area = Rect::new(0, 0, columns, rows);
        self.terminal.resize(size(columns, rows), live);
        self.refresh();
    }

    fn draw(&mut self) -> ViewStatus {
        self.buffer = Buffer::empty(self.area);
        let (status, cursor) = self.terminal.draw(self.area, &mut self.buffer, &styles());
        self.cursor = cursor;
        status
    }

    /// The rows with content, as drawn.
    fn rows(&mut self) -> Vec<String> {
        self.draw();
        let mut rows = rows(&self.buffer);
        let used = rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1);
        rows.truncate(used);
        rows
    }

    fn press(&self, keys: &str) -> String {
        let keyboard = self.terminal.key_encoder();
        let sent =
            KeyPress::parse_sequence(keys).unwrap().into_iter().flat_map(|key| keyboard.encode_key(key)).collect();
        String::from_utf8(sent).unwrap()
    }
}

fn numbered(lines: std::ops::Range<usize>) -> String {
    lines.fold(String::new(), |text, line| text + "line " + &line.to_string() + "\r\n")
}

#[test]
fn a_progress_bar_shows_its_last_state() {
    let log = MemoryLog::of("build\r\n[#   ] 25%\r[##  ] 50%");
    let mut pane = TerminalHarness::new(&log, 40, 5);
    assert_eq!(pane.rows(), ["build", "[##  ] 50%"]);
    assert_eq!(pane.cursor, Some((10, 1)), "the cursor of the job");
    log.append("\r\x1b[Kdone\r\n");
    pane.refresh();
    assert_eq!(pane.rows(), ["build", "done"]);
}

#[test]
fn colours_are_those_of_the_job() {
    let log = MemoryLog::of("\x1b[31mA\x1b[38;5;208mB\x1b[38;2;1;2;3mC\x1b[0;48;5;20;1mD\x1b[0mE");
    let mut pane = TerminalHarness::new(&log, 10, 2);
    pane.draw();
    let style = |x: u16| pane.buffer[(x, 0)].style();
    assert_eq!(style(0).fg, Some(Color::Red));
    assert_eq!(style(1).fg, Some(Color::Indexed(208)));
    assert_eq!(style(2).fg, Some(Color::Rgb(1, 2, 3)));
    assert_eq!((style(3).bg, style(3).add_modifier), (Some(Color::Indexed(20)), Modifier::BOLD));
    assert_eq!((style(4).fg, style(4).bg), (Some(Color::Reset), Some(Color::Reset)));
    let mut plain = Buffer::empty(pane.area);
    pane.terminal.draw(pane.area, &mut plain, &setlist::tui::output::OutputStyles { show_colours: false, ..styles() });
    assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(plain[(3, 0)].modifier.contains(Modifier::BOLD));
}

#[test]
fn a_full_screen_program_uses_the_alternate_screen() {
    let log = MemoryLog::of("before\r\n\x1b[?1049h\x1b[2J\x1b[3;5Hmiddle\x1b[1;1Htop\x1b[?25l");
    let mut pane = TerminalHarness::new(&log, 20, 5);
    assert_eq!(pane.rows(), ["top", "", "    middle"]);
    assert_eq!(pane.cursor, None, "the job hides the cursor");
    assert!(pane.terminal.is_full_screen());
    assert!(!pane.terminal.scroll(Scroll::Rows(-1)), "a full-screen program has no scrollback");
    log.append("\x1b[?25h\x1b[?1049lafter\r\n");
    pane.refresh();
    assert_eq!(pane.rows(), ["before", "after"]);
    assert!(!pane.terminal.is_full_screen());
}

#[test]
fn scrolling_back_pauses_and_announces_new_output() {
    let log = MemoryLog::of(numbered(0..50));
    let mut pane = TerminalHarness::new(&log, 20, 4);
    assert_eq!(pane.rows(), ["line 47", "line 48", "line 49"]);
    assert!(pane.terminal.scroll(Scroll::Rows(-2)));
    let held = pane.rows();
    assert_eq!(held, ["line 45", "line 46", "line 47", "line 48"]);
    assert_eq!(pane.draw().new_output, NewOutput::None);
    log.append(numbered(50..60));
    pane.refresh();
    assert_eq!(pane.rows(), held);
    assert_eq!(pane.draw().new_output, NewOutput::Uncounted);
    assert_eq!(pane.cursor, None, "the cursor is hidden while scrolled back");
    assert!(pane.terminal.scroll(Scroll::Home));
    assert_eq!(pane.rows()[0], "line 0");
    assert!(!pane.terminal.scroll(Scroll::Rows(-1)), "the scrollback ends here");
    pane.terminal.follow();
    pane.refresh();
    assert_eq!(pane.rows(), ["line 57", "line 58", "line 59"]);
    pane.terminal.scroll(Scroll::Rows(-1));
    pane.terminal.scroll(Scroll::Rows(1));
    assert!(pane.terminal.is_following());
}

#[test]
fn output_for_another_width_is_emulated_at_that_width() {
    let log = MemoryLog::default();
    log.resize(20, 6);
    // A program that knows the width of its terminal and moves back up over two wrapped rows.
    log.append("0123456789abcdefghijklmno\x1b[1Afirst\r\n\nlast");
    // In 40 columns that would overwrite the line above.
    let mut pane = TerminalHarness::new(&log, 40, 6);
    assert_eq!(pane.rows(), ["01234firstabcdefghijklmno", "last"]);
    log.append("!");
    pane.refresh();
    assert_eq!(pane.rows(), ["01234firstabcdefghijklmno", "last!"]);
    // While the run continues, it is shown as printed.
    let mut live = pane;
    live.resize(40, 6, true);
    live.refresh();
    assert_eq!(live.rows(), ["01234firstabcdefghij", "klmno", "last!"]);
    log.resize(40, 6);
    log.append("?");
    live.refresh();
    assert_eq!(live.rows(), ["01234firstabcdefghijklmno", "last!?"]);
}

#[test]
fn a_taller_terminal_is_shown_around_its_cursor() {
    let log = MemoryLog::default();
    log.resize(20, 10);
    log.append("\x1b[2J\x1b[1;1Hone\x1b[9;1Hnine\x1b[10;1Hten");
    let mut pane = TerminalHarness::new(&log, 20, 3);
    pane.resize(20, 3, true);
    log.append("!");
    pane.refresh();
    assert_eq!(pane.rows(), ["", "nine", "ten!"]);
    assert_eq!(pane.cursor, Some((4, 2)));
    assert!(pane.terminal.scroll(Scroll::Home));
    assert_eq!(pane.rows(), ["one"]);
}

#[test]
fn large_output_is_read_in_bounded_steps_and_its_end_is_shown() {
    let log = MemoryLog::of(numbered(0..400_000));
    let mut terminal = TerminalView::new(log.clone(), size(80, 24));
    let mut most = 0;
    while terminal.refresh() {
        most = most.max(log.take_read());
    }
    assert!(most < 2 << 20, "{most}");
    let mut pane = TerminalHarness::new(&log, 20, 3);
    assert_eq!(pane.rows(), ["line 399998", "line 399999"]);
    log.append(numbered(400_000..500_000));
    pane.refresh();
    assert_eq!(pane.rows(), ["line 499998", "line 499999"]);
    assert!(pane.terminal.scroll(Scroll::Rows(-500)), "part of the earlier output is in the scrollback");
    // The middle has been discarded from the log.
    let end = 5 << 20;
    log.discard(100_000..end);
    let mut pane = TerminalHarness::new(&log, 20, 3);
    assert_eq!(pane.rows(), ["line 499998", "line 499999"]);
}

#[test]
fn modes_set_long_ago_are_kept() {
    let mut text = "\x1b[?1h\x1b[?2004h\x1b]9;4;1;40\x07".to_owned();
    text.push_str(&numbered(0..100_000));
    let pane = TerminalHarness::new(&MemoryLog::of(text), 20, 3);
    assert_eq!(pane.press("<Up>"), "\x1bOA");
    assert_eq!(pane.terminal.key_encoder().encode_paste("a\nb"), b"\x1b[200~a\nb\x1b[201~");
    assert_eq!(pane.terminal.progress(), JobProgress::Normal(40));
}

#[test]
fn keys_are_sent_as_a_terminal_sends_them() {
    let pane = TerminalHarness::new(&MemoryLog::default(), 20, 3);
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
    assert_eq!(pane.terminal.key_encoder().encode_paste("a\r\nb\nc"), b"a\rb\rc");
    let marked = TerminalHarness::new(&MemoryLog::of("\x1b[?2004h"), 20, 3);
    // Pasted text can't contain the end marker.
    assert_eq!(marked.terminal.key_encoder().encode_paste("a\x1b[201~b"), b"\x1b[200~a[201~b\x1b[201~");
}

#[test]
fn hostile_output_only_changes_cells() {
    let log = MemoryLog::of(
        "\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b[c\x1b[6n\x1bPq#0\x1b\\\x1b[9999b\x1b[99999;99999H\x1b[?9999h\u{9b}31mX\u{202e}Y",
    );
    log.append(b"\xc2");
    let mut pane = TerminalHarness::new(&log, 20, 4);
    let text = pane.rows().concat();
    assert!(!text.contains("owned") && !text.contains("b3du"), "{text:?}");
    assert!(text.chars().all(|character| !character.is_control() && character != '\u{202e}'), "{text:?}");
}

#[test]
fn a_read_error_is_shown_until_a_read_succeeds() {
    let log = MemoryLog::of("hello");
    log.fail_reads(true);
    let mut pane = TerminalHarness::new(&log, 60, 3);
    assert!(pane.rows()[0].starts_with("The output can't be read: "), "{:?}", pane.rows());
    log.fail_reads(false);
    pane.refresh();
    assert_eq!(pane.rows(), ["hello"]);
}

#[derive(Clone, Debug)]
enum ViewAction {
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

fn actions() -> impl Strategy<Value = Vec<ViewAction>> {
    let act = prop_oneof![
        6 => piece().prop_map(ViewAction::Print),
        1 => (1_u16..60, 1_u16..20).prop_map(|(columns, rows)| ViewAction::Printed(columns, rows)),
        1 => (0_u16..60, 0_u16..20, any::<bool>()).prop_map(|(columns, rows, live)| ViewAction::Resize(columns, rows, live)),
        1 => (-30_isize..30).prop_map(ViewAction::Scroll),
        3 => Just(ViewAction::Refresh),
        1 => Just(ViewAction::Follow),
    ];
    proptest::collection::vec(act, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A view that followed a run shows the same as a view opened later.
    #[test]
    fn a_terminal_shows_what_is_in_the_log(actions in actions()) {
        let log = MemoryLog::default();
        log.resize(30, 8);
        let mut pane = TerminalHarness::new(&log, 30, 8);
        for act in actions {
            match act {
                ViewAction::Print(bytes) => log.append(bytes),
                ViewAction::Printed(columns, rows) => log.resize(columns, rows),
                ViewAction::Resize(columns, rows, live) => {
                    pane.area = Rect::new(0, 0, columns, rows);
                    pane.terminal.resize(size(columns, rows), live);
                }
                ViewAction::Scroll(by) => drop(pane.terminal.scroll(Scroll::Rows(by))),
                ViewAction::Refresh => pane.refresh(),
                ViewAction::Follow => pane.terminal.toggle_follow(),
            }
            pane.draw();
        }
        log.append("end");
        pane.resize(25, 7, true);
        pane.terminal.follow();
        pane.refresh();
        let mut fresh = TerminalHarness::new(&log, 25, 7);
        fresh.resize(25, 7, true);
        prop_assert_eq!(pane.rows(), fresh.rows());
        prop_assert_eq!(pane.cursor, fresh.cursor);
        prop_assert_eq!(pane.buffer, fresh.buffer);
    }
}
