//! Records the picture in the README: the real program in a real terminal, with real jobs, as an animated SVG.
//!
//! `UPDATE_DEMO=1 cargo test --test suite terminal::demo` writes `examples/demo/demo.svg` anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use portable_pty::CommandBuilder;
use vt100::{Cell, Color};

use super::Terminal;
use crate::temp_site::{SETLIST, TempSite, WAIT_TIMEOUT};

const COLUMNS: u16 = 100;
const ROWS: u16 = 28;
/// The size of a cell.
const CELL: (f64, f64) = (8.4, 18.0);
const MARGIN: f64 = 14.0;
/// Frames that follow sooner replace the one before, in seconds.
const MIN_FRAME_SECONDS: f64 = 0.2;
const MAX_BYTES: usize = 200_000;

/// A row of the screen as SVG.
type Row = String;

/// The terminal, and what it has shown.
struct Recorder {
    terminal: Terminal,
    /// When each frame appears, in seconds, with its rows.
    frames: Vec<(f64, Vec<Row>)>,
    at: f64,
}

impl Recorder {
    /// Types keys, records until the screen meets a condition, and shows that for some seconds.
    fn play(&mut self, keys: &str, seconds: f64, wanted: impl Fn(&str) -> bool) {
        let start = Instant::now();
        let from = self.at;
        self.terminal.keys(keys);
        loop {
            self.at = from + start.elapsed().as_secs_f64();
            let text = self.record();
            if wanted(&text) {
                break;
            }
            let is_drawn = self.terminal.output_received.recv_timeout(WAIT_TIMEOUT).is_ok();
            assert!(is_drawn, "timed out after {keys:?}:\n{text}");
        }
        self.at += seconds;
    }

    /// Records what the screen shows; returns its text.
    fn record(&mut self) -> String {
        let drawn = self.terminal.drawn.lock().unwrap();
        let screen = drawn.screen.screen();
        let row = |y: u16| row_svg(&(0..COLUMNS).filter_map(|x| screen.cell(y, x)).collect::<Vec<_>>());
        let rows: Vec<Row> = (0..ROWS).map(row).collect();
        let text = screen.contents();
        drop(drawn);
        match self.frames.last_mut() {
            Some((_, last)) if *last == rows => {}
            Some((at, last)) if self.at - *at < MIN_FRAME_SECONDS => *last = rows,
            _ => self.frames.push((self.at, rows)),
        }
        text
    }

    /// The whole recording, with `poster` as the frame for programs that don't animate.
    fn svg(&self, poster: f64) -> String {
        let (width, height) = (f64::from(COLUMNS) * CELL.0 + 2.0 * MARGIN, f64::from(ROWS) * CELL.1 + 2.0 * MARGIN);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
             aria-label=\"Setlist runs the jobs of a release\">\n<style>{STYLE}</style>\n\
             <rect class=\"bg\" width=\"{width:.0}\" height=\"{height:.0}\" rx=\"8\"/>\n"
        );
        // Each row once, with the times at which it is shown.
        let mut shown: BTreeMap<(usize, &Row), Vec<(f64, f64)>> = BTreeMap::new();
        for (nth, (from, rows)) in self.frames.iter().enumerate() {
            let until = self.frames.get(nth + 1).map_or(self.at, |(at, _)| *at);
            for (y, row) in rows.iter().enumerate().filter(|(_, row)| !row.is_empty()) {
                let times = shown.entry((y, row)).or_default();
                match times.last_mut() {
                    Some((_, end)) if *end >= *from => *end = until,
                    _ => times.push((*from, until)),
                }
            }
        }
        for ((y, row), times) in shown {
            let is_poster = times.iter().any(|(from, until)| (*from..*until).contains(&poster));
            let y = MARGIN + f64::from(u32::try_from(y).unwrap()) * CELL.1;
            let _ = write!(svg, "<g transform=\"translate({MARGIN} {y:.0})\" opacity=\"{}\">", u8::from(is_poster));
            svg += &animation(&times, self.at);
            svg += row;
            svg += "</g>\n";
        }
        svg + "</svg>\n"
    }
}

/// Shows an element at these times of a recording of this length.
fn animation(times: &[(f64, f64)], length: f64) -> String {
    let (mut values, mut key_times) = (vec!["0"], vec!["0".to_owned()]);
    for (from, until) in times {
        if *from <= 0.0 {
            values[0] = "1";
        } else {
            values.push("1");
            key_times.push(format!("{:.4}", from / length));
        }
        if *until < length {
            values.push("0");
            key_times.push(format!("{:.4}", until / length));
        }
    }
    if values == ["1"] {
        return String::new();
    }
    format!(
        "<animate attributeName=\"opacity\" calcMode=\"discrete\" dur=\"{length:.1}s\" repeatCount=\"indefinite\" \
         keyTimes=\"{}\" values=\"{}\"/>",
        key_times.join(";"),
        values.join(";")
    )
}

/// The texts of a row and their backgrounds, as far as there is something to see.
fn row_svg(cells: &[&Cell]) -> Row {
    let style = |cell: &Cell| {
        let (fg, bg) = (cell.fgcolor(), cell.bgcolor());
        (fg, bg, cell.bold(), cell.dim(), cell.inverse(), cell.underline())
    };
    let (mut row, mut x) = (String::new(), 0);
    while x < cells.len() {
        let first = style(cells[x]);
        let length = cells[x..].iter().take_while(|cell| style(cell) == first).count();
        let text: String = cells[x..x + length]
            .iter()
            .filter(|cell| !cell.is_wide_continuation())
            .map(|cell| if cell.has_contents() { cell.contents() } else { " " })
            .collect();
        let (fg, bg, bold, dim, inverse, underline) = first;
        let (left, cells_wide) = (as_f64(x) * CELL.0, as_f64(length) * CELL.0);
        if inverse || bg != Color::Default {
            let class = if inverse { class_of(fg, "fg") } else { class_of(bg, "bg") };
            let height = CELL.1;
            let _ =
                write!(row, "<rect class=\"{class}\" x=\"{left:.1}\" width=\"{cells_wide:.1}\" height=\"{height}\"/>");
        }
        let trimmed = text.trim();
        if !trimmed.is_empty() {
            let before = text.chars().take_while(|sign| *sign == ' ').count();
            let (x, width) = (left + as_f64(before) * CELL.0, as_f64(setlist::text::width(trimmed)) * CELL.0);
            let mut class = if inverse { "bg".to_owned() } else { class_of(fg, "fg") };
            for (is_set, name) in [(bold, " b"), (dim, " d"), (underline, " u")] {
                class += if is_set { name } else { "" };
            }
            let escaped = trimmed.replace('&', "&amp;").replace('<', "&lt;");
            let _ = write!(
                row,
                "<text class=\"{class}\" x=\"{x:.1}\" y=\"13.5\" textLength=\"{width:.1}\" \
                 lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\">{escaped}</text>"
            );
        }
        x += length;
    }
    row
}

fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// The class of a colour.
fn class_of(color: Color, default: &str) -> String {
    match color {
        Color::Idx(index) => format!("c{index}"),
        Color::Default | Color::Rgb(..) => default.to_owned(),
    }
}

const STYLE: &str = "text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\
.fg{fill:#d5d9e0}.bg{fill:#15181e}.b{font-weight:bold}.d{opacity:.65}.u{text-decoration:underline}\
.c0{fill:#15181e}.c1,.c9{fill:#f2777a}.c2,.c10{fill:#8cc570}.c3,.c11{fill:#e5c07b}.c4,.c12{fill:#6cb0f5}\
.c5,.c13{fill:#c792ea}.c6,.c14{fill:#5cc8d7}.c7,.c15{fill:#d5d9e0}.c8{fill:#7d8694}rect.c4{fill:#24497a}\
@media (prefers-color-scheme:light){.fg,.c7,.c15{fill:#24292f}.bg,.c0{fill:#fbfbfa}.c1,.c9{fill:#c4232b}\
.c2,.c10{fill:#2b7a2f}.c3,.c11{fill:#8a5a00}.c4,.c12{fill:#1f62b5}.c5,.c13{fill:#8a3fa8}.c6,.c14{fill:#0b7285}\
.c8{fill:#6b7280}rect.c4{fill:#cfe2f8}}";

#[test]
fn the_picture_of_the_readme_is_recorded() {
    let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/demo");
    let site = TempSite::empty();
    fs::create_dir_all(site.join("release/.setlist")).unwrap();
    site.write("release/jobs.yaml", &fs::read_to_string(examples.join("jobs.yaml")).unwrap());
    let mut command = CommandBuilder::new("sh");
    command.env("HOME", site.path());
    command.env_remove("COLORFGBG");
    command.env("LC_ALL", "C.UTF-8");
    command.args(["-c", &format!("cd release && exec '{SETLIST}'")]);
    let terminal = Terminal::run(&site, command);
    terminal.resize(COLUMNS, ROWS);
    terminal.wait_for_text("Pending");
    let mut recorder = Recorder { terminal, frames: Vec::new(), at: 0.0 };
    recorder.play("", 1.2, |text| text.contains("Pending 7"));
    recorder.play("p", 0.0, |text| text.contains("✗ Check the mirrors"));
    let poster = recorder.at;
    recorder.play("", 1.0, |text| text.contains("✓ Package"));
    recorder.play("s", 2.6, |text| text.contains("Critical path"));
    recorder.play("m", 2.2, |text| text.contains("─ Needs"));
    recorder.play("\x1b", 0.3, |text| text.contains("─ Finished"));
    recorder.play("\x06", 0.5, |text| text.contains("search all output"));
    for typed in ["ref", "used"] {
        recorder.play(typed, 0.3, |_| true);
    }
    recorder.play("", 2.2, |text| text.contains("1 line") && text.contains("mirror-2"));
    recorder.play("\r", 2.2, |text| text.contains("Output") && text.contains("connection to mirror-2 refused"));
    let svg = recorder.svg(poster);
    recorder.terminal.keys("q");
    recorder.terminal.wait_for_exit();

    assert!(svg.len() < MAX_BYTES, "{} bytes", svg.len());
    for word in ["Unit tests", "exit code 7", "Critical path", "Needs", "connection to mirror-2", "<animate "] {
        assert!(svg.contains(word), "{word}");
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for private in [&*site.path().to_string_lossy(), env!("CARGO_MANIFEST_DIR"), &*host] {
        assert!(!svg.contains(private), "{private}");
    }
    let file = examples.join("demo.svg");
    if std::env::var_os("UPDATE_DEMO").is_some() {
        fs::write(&file, &svg).unwrap();
    }
    let stored = fs::read_to_string(&file).unwrap();
    assert!(stored.len() < MAX_BYTES && stored.contains("Critical path"), "the picture is recorded with UPDATE_DEMO=1");
}
