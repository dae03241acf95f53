//! Programs in pseudo-terminals.

use std::error::Error;
use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Longer than any step takes unless it hangs.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// A program in its own pseudo-terminal; killed when dropped.
pub(crate) struct ScreenProcess {
    pub(crate) child: Box<dyn Child + Send + Sync>,
    pub(crate) keys: Box<dyn Write + Send>,
    pub(crate) output: Receiver<Vec<u8>>,
    pub(crate) parser: vt100::Parser,
    pub(crate) first_frame: Duration,
    _terminal: Box<dyn MasterPty + Send>,
}

impl ScreenProcess {
    /// Starts the screen of a site, and waits for its first frame.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_setlist"));
        command.cwd(folder);
        let start = Instant::now();
        let mut screen = Self::start(command)?;
        screen.wait_for_text("Pending")?;
        screen.first_frame = start.elapsed();
        Ok(screen)
    }

    /// Starts a program in a terminal.
    pub(crate) fn start(mut command: CommandBuilder) -> Result<Self> {
        let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size)?;
        command.env("TERM", "xterm-256color");
        let (mut reader, keys) = (pair.master.try_clone_reader()?, pair.master.take_writer()?);
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(len @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        let child = pair.slave.spawn_command(command)?;
        let (rows, cols) = NonZero::new(size.rows).zip(NonZero::new(size.cols)).ok_or("empty terminal")?;
        let (parser, first_frame) = (vt100::Parser::new(rows, cols, 0), Duration::ZERO);
        Ok(Self { child, keys, output, parser, first_frame, _terminal: pair.master })
    }

    /// Waits until the text is on the screen.
    pub(crate) fn wait_for_text(&mut self, text: &str) -> Result {
        let start = Instant::now();
        while !self.parser.screen().contents().contains(text) {
            // A screen that is drawn again and again without the text hangs too.
            let left = STEP_TIMEOUT.saturating_sub(start.elapsed());
            let drawn = self.output.recv_timeout(left).map_err(|_| format!("`{text}` never appeared"))?;
            self.parser.process(&drawn);
        }
        Ok(())
    }
}

impl Drop for ScreenProcess {
    fn drop(&mut self) {
        // Quits the screen, unless it hangs.
        let _ = self.keys.write_all(b"q");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
