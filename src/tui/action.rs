//! Everything that a key can do, in one table; the help, the hints and every text that names a key are drawn from it.

use super::keys::Key;

/// Something that a person can ask of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the table says what each one does")]
pub enum Action {
    Process,
    ProcessAll,
    Run,
    RunFailed,
    Cancel,
    Kill,
    Remove,
    ClearFinished,
    Undo,
    Add,
    Edit,
    Down,
    Up,
    First,
    Last,
    PageDown,
    PageUp,
    HalfDown,
    HalfUp,
    NextPane,
    PreviousPane,
    PreviousQueue,
    NextQueue,
    /// The queue with this number, counted from 1.
    NthQueue(u8),
    Open,
    Detail,
    Back,
    OutputDown,
    OutputUp,
    OutputLeft,
    OutputRight,
    Follow,
    EarlierRun,
    LaterRun,
    Wrap,
    Times,
    Tiles,
    Page,
    Copy,
    CopyAll,
    Type,
    Find,
    FindNext,
    FindPrevious,
    Help,
    Quit,
    StopAndQuit,
    Suspend,
}

/// Where a key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// In the lists and in the output.
    Everywhere,
    /// While a list has the focus.
    Lists,
    /// While the output has the focus.
    Output,
}

/// What the help puts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Things done to queues and their jobs.
    Jobs,
    /// Moving about.
    Move,
    /// The output of the selected job.
    Output,
    /// The screen itself.
    Screen,
}

/// One line of the table.
#[derive(Debug)]
pub struct Entry {
    /// What is done.
    pub action: Action,
    /// Its keys, in the notation of [`Key`]; the first one is shown where there is room for one only.
    pub keys: &'static [&'static str],
    /// One or two words for the line of hints; empty for what isn't hinted at.
    pub hint: &'static str,
    /// What it does, in a line. Neighbours in the table with the same text share a line of the help.
    pub help: &'static str,
    /// Where its keys work.
    pub context: Context,
    /// Where the help puts it.
    pub group: Group,
}

use Action as A;
use Context::{Everywhere, Lists, Output};
use Group as G;

#[rustfmt::skip]
macro_rules! table {
    ($($action:expr, $keys:expr, $hint:expr, $help:expr, $context:expr, $group:expr;)*) => {
        &[$(Entry { action: $action, keys: &$keys, hint: $hint, help: $help, context: $context, group: $group }),*]
    };
}

/// The table. Its order is the order of the hints and of the help.
#[rustfmt::skip]
pub static TABLE: &[Entry] = table![
    A::Process,       ["p"],                "process/pause", "process this queue, or pause it when it is processing",  Everywhere, G::Jobs;
    A::ProcessAll,    ["P"],                "",          "process all queues, or pause those that are processing",     Everywhere, G::Jobs;
    A::Run,           ["r"],                "run",       "run the selected job now, or run it again",                  Everywhere, G::Jobs;
    A::RunFailed,     ["R"],                "",          "run all failed jobs shown again",                            Everywhere, G::Jobs;
    A::Cancel,        ["x"],                "cancel",    "cancel the selected job: TERM, then KILL, if it runs",       Everywhere, G::Jobs;
    A::Kill,          ["X"],                "",          "kill the selected running job at once (asks)",               Everywhere, G::Jobs;
    A::Remove,        ["d"],                "remove",    "remove the selected job",                                    Everywhere, G::Jobs;
    A::ClearFinished, ["D"],                "",          "remove all finished jobs shown",                             Everywhere, G::Jobs;
    A::Undo,          ["u"],                "",          "undo the last removal, for 10 s",                            Everywhere, G::Jobs;
    A::Add,           ["a"],                "add",       "add a job to this queue",                                    Everywhere, G::Jobs;
    A::Edit,          ["e"],                "edit",      "edit jobs.yaml at the selected job, or where it is wrong",   Everywhere, G::Jobs;
    A::Down,          ["j", "Down"],        "",          "down",                                                       Everywhere, G::Move;
    A::Up,            ["k", "Up"],          "",          "up",                                                         Everywhere, G::Move;
    A::First,         ["g", "Home"],        "",          "to the top",                                                 Everywhere, G::Move;
    A::Last,          ["G", "End"],         "",          "to the end",                                                 Everywhere, G::Move;
    A::PageDown,      ["PgDn"],             "",          "a page down",                                                Everywhere, G::Move;
    A::PageUp,        ["PgUp"],             "",          "a page up",                                                  Everywhere, G::Move;
    A::HalfDown,      ["^d"],               "",          "half a page down",                                           Everywhere, G::Move;
    A::HalfUp,        ["^u"],               "",          "half a page up",                                             Everywhere, G::Move;
    A::NextPane,      ["Tab", "l", "Right"],     "pane", "to the next pane",                                           Everywhere, G::Move;
    A::PreviousPane,  ["S-Tab", "h", "Left"],    "",     "to the previous pane",                                       Everywhere, G::Move;
    A::PreviousQueue, ["["],                "",          "to the previous queue",                                      Everywhere, G::Move;
    A::NextQueue,     ["]"],                "queue",     "to the next queue",                                          Everywhere, G::Move;
    A::NthQueue(1),   ["1"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(2),   ["2"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(3),   ["3"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(4),   ["4"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(5),   ["5"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(6),   ["6"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(7),   ["7"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(8),   ["8"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(9),   ["9"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::Open,          ["Enter"],            "open",      "give the output the whole screen",                           Everywhere, G::Output;
    A::Detail,        ["v"],                "details",   "details of the selected job: command, needs, runs",          Everywhere, G::Output;
    A::OutputDown,    ["J"],                "",          "scroll the output down, from any pane",                      Everywhere, G::Output;
    A::OutputUp,      ["K"],                "",          "scroll the output up, from any pane",                        Everywhere, G::Output;
    A::OutputLeft,    ["H"],                "",          "scroll cut lines of the output to their beginning",          Everywhere, G::Output;
    A::OutputRight,   ["L"],                "",          "scroll cut lines of the output to their end",                Everywhere, G::Output;
    A::Follow,        ["f"],                "follow",    "follow the output, or hold it",                              Everywhere, G::Output;
    A::EarlierRun,    ["<"],                "",          "the output of the run before",                               Everywhere, G::Output;
    A::LaterRun,      [">"],                "",          "the output of the run after",                                Everywhere, G::Output;
    A::Wrap,          ["w"],                "wrap",      "wrap long lines of the output, or cut them",                 Everywhere, G::Output;
    A::Times,         ["t"],                "times",     "show when lines were printed, and a bar beside standard error", Everywhere, G::Output;
    A::Tiles,         ["T"],                "tiles",     "the output of all running jobs side by side; again: of all queues", Everywhere, G::Output;
    A::Page,          ["o"],                "pager",     "open the output in $PAGER",                                  Everywhere, G::Output;
    A::Copy,          ["y"],                "copy",      "copy the job's name; in the output, what is in view, or the line found", Everywhere, G::Output;
    A::CopyAll,       ["Y"],                "",          "copy the job's command; in the output, all of it",           Everywhere, G::Output;
    A::Type,          ["i"],                "type",      "type into a job that runs in a terminal; ^z comes back",     Everywhere, G::Output;
    A::Find,          ["/"],                "find",      "filter the lists; in the output, search it",                 Everywhere, G::Output;
    A::FindNext,      ["n"],                "",          "to the next match in the output",                            Everywhere, G::Output;
    A::FindPrevious,  ["N"],                "",          "to the previous match in the output",                        Everywhere, G::Output;
    A::Back,          ["Esc"],              "",          "back one level; never quits",                                Everywhere, G::Screen;
    A::Suspend,       ["^z"],               "",          "suspend setlist; fg brings it back",                         Everywhere, G::Screen;
    A::Help,          ["?"],                "help",      "this help",                                                  Everywhere, G::Screen;
    A::Quit,          ["q", "^c"],          "quit",      "quit; jobs that run go on",                                  Everywhere, G::Screen;
    A::StopAndQuit,   ["Q"],                "",          "stop all running jobs and quit (asks)",                      Everywhere, G::Screen;
];

impl Entry {
    /// The key that is shown where there is room for one only.
    pub fn key(&self) -> &'static str {
        self.keys.first().copied().unwrap_or_default()
    }
}

impl Context {
    /// Whether a key may be pressed in both.
    pub fn overlaps(self, other: Self) -> bool {
        self == other || self == Everywhere || other == Everywhere
    }
}

impl Action {
    /// What `key` does while a list (or else the output) has the focus.
    pub fn of(key: Key, in_output: bool) -> Option<Self> {
        let here = if in_output { Output } else { Lists };
        let pressed = |entry: &&Entry| entry.keys.iter().any(|name| name.parse() == Ok(key));
        TABLE.iter().filter(|entry| entry.context.overlaps(here)).find(pressed).map(|entry| entry.action)
    }

    /// The key to press for it, as text.
    pub fn key(self) -> &'static str {
        TABLE.iter().find(|entry| entry.action == self).map(Entry::key).unwrap_or_default()
    }
}
