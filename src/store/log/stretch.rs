//! Reading marks: where the output at some offset came from, while the file grows and goes round.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::marks::{Layout, MARK, Mark, Origin};

/// A stretch of output that came from one stream; what begins in it began at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Where it starts.
    pub start: u64,
    /// Where the next one starts; `u64::MAX` where none has by now.
    pub end: u64,
    /// Where it came from; none if nobody knows.
    pub origin: Option<Origin>,
}

/// The marks of one log.
#[derive(Debug)]
pub(super) struct Marks {
    path: PathBuf,
    file: Option<(File, Layout)>,
    near: Near,
}

/// Some stretches in a row, as they were looked up last.
#[derive(Debug, Default)]
struct Near {
    stretches: Vec<Stretch>,
    /// Where the next mark will be written, and what is there now; for the last stretch, if it is open.
    tip: Option<(u64, Option<Raw>)>,
}

type Raw = [u8; MARK];

/// Which slot follows which.
struct Order<'a> {
    file: &'a File,
    layout: Layout,
    /// How many marks there are.
    len: u64,
    /// How far round the ring is.
    turn: u64,
}

/// How many marks are read at once: a page of them.
const AT_ONCE: u64 = 4096 / MARK as u64;
/// How often to look again when marks were replaced meanwhile.
const ATTEMPTS: usize = 100;
/// How far one goes on before one looks again, where nothing could be made of the marks.
const BLIND: u64 = 4096;

impl Stretch {
    /// Nobody knows where any output came from.
    pub const UNKNOWN: Self = Self { start: 0, end: u64::MAX, origin: None };

    fn contains(&self, offset: u64) -> bool {
        (self.start..self.end).contains(&offset)
    }
}

impl Marks {
    /// The marks at `path`; that there are none yet is fine.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, near: Near::default() }
    }

    /// Whether there are any.
    pub(super) fn are_there(&mut self) -> bool {
        self.opened().is_some()
    }

    /// The stretch that the byte at `offset` is in; it has been read already.
    pub(super) fn stretch_at(&mut self, offset: u64) -> Stretch {
        if let Some(known) = self.known(offset) {
            return known;
        }
        let Some((file, layout)) = self.opened() else { return Stretch::UNKNOWN };
        // What can't be read is not known.
        let read = (0..ATTEMPTS).find_map(|_| read(file, *layout, offset).transpose());
        self.near = read.and_then(Result::ok).unwrap_or_default();
        let blind = Stretch { start: offset, end: offset.saturating_add(BLIND), origin: None };
        self.near.find(offset).unwrap_or(blind)
    }

    fn known(&self, offset: u64) -> Option<Stretch> {
        let found = self.near.find(offset)?;
        let (file, _) = self.file.as_ref()?;
        let grown = |(place, before)| raw(file, place).is_ok_and(|now| now != before);
        (found.end < u64::MAX || !self.near.tip.is_some_and(grown)).then_some(found)
    }

    fn opened(&mut self) -> Option<&(File, Layout)> {
        if self.file.is_none() {
            self.file = open(&self.path);
        }
        self.file.as_ref()
    }
}

impl Near {
    fn find(&self, offset: u64) -> Option<Stretch> {
        let behind = self.stretches.partition_point(|stretch| stretch.start <= offset);
        let found = *self.stretches.get(behind.checked_sub(1)?)?;
        found.contains(offset).then_some(found)
    }
}

fn open(path: &Path) -> Option<(File, Layout)> {
    let file = File::open(path).ok()?;
    let layout = Layout::read(raw(&file, 0).ok()??)?;
    Some((file, layout))
}

/// The stretches from the one at `offset` on; none if marks were replaced while they were read.
fn read(file: &File, layout: Layout, offset: u64) -> io::Result<Option<Near>> {
    let order = Order::new(file, layout)?;
    let before = |nth| Ok(order.mark(nth)?.is_some_and(|mark| mark.offset <= offset));
    let Some(first) = partition_point(order.len, before)?.checked_sub(1) else {
        // Nothing was noted of the beginning.
        let end = if order.len == 0 { None } else { order.mark(0)?.map(|mark| mark.offset) };
        let beginning = end.filter(|end| offset < *end).map(|end| Stretch { end, ..Stretch::UNKNOWN });
        return Ok(Some(Near { stretches: beginning.into_iter().collect(), tip: None }));
    };
    let marks = first..order.len.min(first + AT_ONCE);
    let raws = order.raws(marks.clone())?;
    let place = Layout::place(order.slot(marks.end));
    let tip = if marks.end == order.len { Some((place, raw(file, place)?)) } else { None };
    let stretches = order.stretches(marks.start, &raws, tip.is_some()).filter(|stretches| {
        let newer = |mark: Mark| stretches.last().is_some_and(|last| mark.offset > last.start);
        let overtaken = tip.and_then(|(_, raw)| Mark::read(raw?)).is_some_and(newer);
        stretches.first().is_some_and(|first| first.start <= offset) && !overtaken
    });
    let sound = order.stands(marks, &raws)?;
    Ok(stretches.filter(|_| sound).map(|stretches| Near { stretches, tip }))
}

impl<'a> Order<'a> {
    fn new(file: &'a File, layout: Layout) -> io::Result<Self> {
        let len = layout.filled(file.metadata()?.len());
        let mut order = Self { file, layout, len, turn: 0 };
        if len == layout.slots()
            && let Some(start) = order.mark(layout.room)?
        {
            let newer = |nth| Ok(order.mark(layout.room + nth)?.is_some_and(|mark| mark.offset >= start.offset));
            order.turn = partition_point(layout.room, newer)? % layout.room;
        }
        Ok(order)
    }

    /// The slot of the mark that is the `nth` of those that are there, or of the one that will be written next.
    fn slot(&self, nth: u64) -> u64 {
        let room = self.layout.room;
        if nth < room { nth } else { room + (nth - room + self.turn) % room }
    }

    fn mark(&self, nth: u64) -> io::Result<Option<Mark>> {
        Ok(raw(self.file, Layout::place(self.slot(nth)))?.and_then(Mark::read))
    }

    fn raws(&self, marks: Range<u64>) -> io::Result<Vec<Raw>> {
        let mut raws = Vec::new();
        let mut nth = marks.start;
        while nth < marks.end {
            let slot = self.slot(nth);
            let together = if nth < self.layout.room { self.layout.room } else { self.layout.slots() } - slot;
            let count = together.min(marks.end - nth);
            let mut piece = vec![Raw::default(); usize::try_from(count).unwrap_or(0)];
            self.file.read_exact_at(piece.as_flattened_mut(), Layout::place(slot))?;
            raws.append(&mut piece);
            nth += count;
        }
        Ok(raws)
    }

    /// Whether these marks are still the same: those of the ring are replaced in their order.
    fn stands(&self, marks: Range<u64>, raws: &[Raw]) -> io::Result<bool> {
        let first = marks.start.max(self.layout.room);
        if first >= marks.end {
            return Ok(true);
        }
        let then = usize::try_from(first - marks.start).ok().and_then(|at| raws.get(at));
        Ok(raw(self.file, Layout::place(self.slot(first)))?.as_ref() == then)
    }

    /// The stretches that these marks begin, the `first` one of which is given by its number. Unless they are `all`
    /// that there are, the last mark only ends the stretch before. None if their order is broken.
    fn stretches(&self, first: u64, raws: &[Raw], all: bool) -> Option<Vec<Stretch>> {
        let mut stretches: Vec<Stretch> = Vec::with_capacity(raws.len());
        for (nth, raw) in (first..).zip(raws) {
            let last = stretches.last_mut();
            match (Mark::read(*raw), last) {
                (Some(mark), Some(last)) if mark.offset <= last.start => return None,
                (Some(mark), last) => {
                    if let Some(last) = last {
                        last.end = mark.offset;
                        // The marks that came right after those that stay have been replaced.
                        if nth == self.layout.room && (self.turn > 0 || mark.lap != 1) {
                            last.origin = None;
                        }
                    }
                    stretches.push(Stretch { start: mark.offset, end: u64::MAX, origin: mark.origin });
                }
                // A mark is missing here.
                (None, Some(last)) => last.origin = None,
                (None, None) => {}
            }
        }
        if !all {
            stretches.pop();
        }
        Some(stretches)
    }
}

fn raw(file: &File, place: u64) -> io::Result<Option<Raw>> {
    let mut raw = Raw::default();
    match file.read_exact_at(&mut raw, place) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        result => result.map(|()| Some(raw)),
    }
}

/// How many of the first `len` marks are `before`; all of them come before the others.
fn partition_point(len: u64, before: impl Fn(u64) -> io::Result<bool>) -> io::Result<u64> {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
