//! Output of several threads that search different things, printed in the order of these things.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How much may be held until it is its turn.
const MAX_HELD_BYTES: usize = 16 << 20;
/// How much a thread collects before it hands it over.
const BUFFER_BYTES: usize = 32 << 10;

/// Collects the output of numbered parts, and writes it in the order of their numbers.
pub(super) struct OrderedOutput<W> {
    state: Mutex<OutputState<W>>,
    changed: Condvar,
}

struct OutputState<W> {
    out: W,
    /// Written between the output of different parts.
    separator: &'static str,
    /// The part whose output was written last.
    last_written: Option<usize>,
    /// The part that is written directly.
    next: usize,
    /// The output of later parts, and whether these are complete.
    held: BTreeMap<usize, (Vec<u8>, bool)>,
    held_bytes: usize,
    error: Option<io::Error>,
}

/// Writes the output of one part.
pub(super) struct PartWriter<'o, W: Write> {
    output: &'o OrderedOutput<W>,
    part: usize,
    buffer: Vec<u8>,
}

impl<W: Write> OrderedOutput<W> {
    /// Writes `separator` between the output of different parts.
    pub(super) fn new(out: W, separator: &'static str) -> Self {
        let (held, last_written) = (BTreeMap::new(), None);
        let state = OutputState { out, separator, last_written, next: 0, held, held_bytes: 0, error: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A writer for a part. There has to be one for each number from 0 on.
    pub(super) fn part(&self, part: usize) -> PartWriter<'_, W> {
        PartWriter { output: self, part, buffer: Vec::new() }
    }

    /// Writes what is left; returns the first error.
    pub(super) fn finish(self) -> io::Result<()> {
        let mut state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.error.take().map_or(Ok(()), Err)?;
        state.out.flush()
    }

    /// Whether nothing can be written any more.
    pub(super) fn has_failed(&self) -> bool {
        self.lock().error.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, OutputState<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until output of a part can be written or held, or until nothing can be written any more.
    fn wait_for_room<'s>(
        &'s self,
        state: MutexGuard<'s, OutputState<W>>,
        part: usize,
    ) -> MutexGuard<'s, OutputState<W>> {
        let has_to_wait = |state: &mut OutputState<W>| {
            state.next != part && state.held_bytes > MAX_HELD_BYTES && state.error.is_none()
        };
        self.changed.wait_while(state, has_to_wait).unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes output of a part. Waits if too much is held already. Fails if nothing can be written any more.
    fn take(&self, part: usize, bytes: &mut Vec<u8>, is_complete: bool) -> io::Result<()> {
        let mut state = self.wait_for_room(self.lock(), part);
        if state.error.is_some() {
            bytes.clear();
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if state.next != part {
            state.held_bytes += bytes.len();
            let (held, complete) = state.held.entry(part).or_default();
            held.append(bytes);
            *complete |= is_complete;
            return Ok(());
        }
        state.write(bytes);
        bytes.clear();
        if is_complete {
            state.advance();
        }
        // Parts that wait can continue, or have to end as well.
        if is_complete || state.error.is_some() {
            self.changed.notify_all();
        }
        Ok(())
    }
}

impl<W: Write> OutputState<W> {
    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_some() || bytes.is_empty() {
            return;
        }
        let before = self.last_written.replace(self.next);
        let is_between = before.is_some_and(|before| before != self.next);
        let separator = if is_between { self.separator } else { "" };
        let written = self.out.write_all(separator.as_bytes()).and_then(|()| self.out.write_all(bytes));
        self.error = written.and_then(|()| self.out.flush()).err();
    }

    /// The current part is complete: writes those after it that are, too, and the start of the first that isn't.
    fn advance(&mut self) {
        self.next += 1;
        while let Some((held, is_complete)) = self.held.remove(&self.next) {
            self.held_bytes -= held.len();
            self.write(&held);
            if !is_complete {
                break;
            }
            self.next += 1;
        }
    }
}

impl<W: Write> Write for PartWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        // Whole lines, so that no escape sequence is torn.
        if self.buffer.len() >= BUFFER_BYTES
            && let Some(end) = memchr::memrchr(b'\n', &self.buffer)
        {
            let rest = self.buffer.split_off(end + 1);
            let mut lines = std::mem::replace(&mut self.buffer, rest);
            self.output.take(self.part, &mut lines, false)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.take(self.part, &mut self.buffer, false)
    }
}

impl<W: Write> Drop for PartWriter<'_, W> {
    fn drop(&mut self) {
        // The error is that of the output, which `finish` returns.
        let _ = self.output.take(self.part, &mut self.buffer, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_written_in_order_whenever_they_come() {
        let mut bytes = Vec::new();
        let output = OrderedOutput::new(&mut bytes, "--\n");
        let [mut zero, mut one, mut two, three] = [0, 1, 2, 3].map(|part| output.part(part));
        writeln!(two, "2").unwrap();
        two.flush().unwrap();
        drop(three);
        writeln!(one, "1").unwrap();
        drop(one);
        writeln!(zero, "0").unwrap();
        drop(zero);
        writeln!(two, "2 again").unwrap();
        drop(two);
        output.finish().unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "0\n--\n1\n--\n2\n2 again\n");
    }

    #[test]
    fn only_whole_lines_are_handed_over() {
        let mut bytes = Vec::new();
        let output = OrderedOutput::new(&mut bytes, "");
        let mut part = output.part(0);
        part.write_all(&vec![b'a'; BUFFER_BYTES]).unwrap();
        part.write_all(b"\nsecond").unwrap();
        assert_eq!(part.buffer, b"second");
        drop(part);
        output.finish().unwrap();
        assert!(bytes.ends_with(b"a\nsecond"));
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("full"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Fills the output, lets part 1 wait, and then writes part 0. Returns when part 1 has stopped waiting.
    fn wait_for_part_zero<W: Write + Send>(output: &OrderedOutput<W>, is_complete: bool) {
        output.take(1, &mut vec![b'1'; MAX_HELD_BYTES + 1], false).unwrap();
        let (locked, is_locked) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let state = output.lock();
                locked.send(()).unwrap();
                // The lock is free again once this waits, so the other thread can't come before.
                drop(output.wait_for_room(state, 1));
            });
            is_locked.recv().unwrap();
            output.take(0, &mut b"0\n".to_vec(), is_complete).unwrap();
        });
    }

    #[test]
    fn the_end_of_a_part_wakes_the_next_one() {
        let mut bytes = Vec::new();
        let output = OrderedOutput::new(&mut bytes, "");
        wait_for_part_zero(&output, true);
        output.finish().unwrap();
        assert!(bytes.starts_with(b"0\n1"));
    }

    #[test]
    fn an_error_wakes_a_part_that_waits_for_its_turn() {
        let output = OrderedOutput::new(Full, "");
        wait_for_part_zero(&output, false);
        assert!(output.part(1).flush().is_err());
        assert_eq!(output.finish().unwrap_err().to_string(), "full");
    }

    #[test]
    fn an_error_ends_all_parts() {
        let output = OrderedOutput::new(Full, "");
        let (mut zero, mut one) = (output.part(0), output.part(1));
        writeln!(zero, "0").unwrap();
        drop(zero);
        writeln!(one, "1").unwrap();
        assert!(one.flush().is_err());
        drop(one);
        assert_eq!(output.finish().unwrap_err().to_string(), "full");
    }
}
