//! Everything that a key can do, in one table; the help, the hints and every text that names a key are drawn from it.

/// Something that a person can ask of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the table says what each one does")]
pub enum Action {
    Process,
    ProcessAll,
    MoreParallel,
    LessParallel,
    Run,
    RunFailed,
    Cancel,
    Kill,
    Remove,
    ClearFinished,
    Undo,
    MoveUp,
    MoveDown,
    Mark,
    MarkAll,
    Add,
    Edit,
    Save,
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
    AllQueues,
    Failures,
    Sort,
    Zoom,
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
    Mouse,
    Palette,
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
    /// What it is called in a person's own settings and in the palette.
    pub name: &'static str,
    /// Its keys unless a person has set others, in the notation of [`Key`](super::keys::Key); the first one is shown
    /// where there is room for one only.
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
use Context::{Everywhere, Lists};
use Group as G;

#[rustfmt::skip]
macro_rules! table {
    ($($action:expr, $name:expr, $keys:expr, $hint:expr, $help:expr, $context:expr, $group:expr;)*) => {
        &[$(Entry {
            action: $action, name: $name, keys: &$keys, hint: $hint, help: $help, context: $context, group: $group,
        }),*]
    };
}

/// The table. Its order is the order of the hints and of the help.
#[rustfmt::skip]
pub static TABLE: &[Entry] = table![
    A::Process,        "process",         ["p"],                "process/pause", "process this queue, or pause it when it is processing",  Everywhere, G::Jobs;
    A::ProcessAll,     "process-all",     ["P"],                "",          "process all queues, or pause those that are processing",     Everywhere, G::Jobs;
    A::MoreParallel,   "more-parallel",   ["+"],                "",          "run one more of this queue's jobs at once",                   Everywhere, G::Jobs;
    A::LessParallel,   "less-parallel",   ["-"],                "",          "run one less of this queue's jobs at once",                   Everywhere, G::Jobs;
    A::Run,            "run",             ["r"],                "run",       "run the job, or the marked ones, now or again",               Everywhere, G::Jobs;
    A::RunFailed,      "run-failed",      ["R"],                "",          "run all failed jobs shown again",                            Everywhere, G::Jobs;
    A::Cancel,         "cancel",          ["x"],                "cancel",    "cancel the job, or the marked ones: TERM, then KILL, if it runs", Everywhere, G::Jobs;
    A::Kill,           "kill",            ["X"],                "",          "kill the running job, or the marked ones, at once (asks)",    Everywhere, G::Jobs;
    A::Remove,         "remove",          ["d"],                "remove",    "remove the job, or the marked ones",                         Everywhere, G::Jobs;
    A::ClearFinished,  "clear-finished",  ["D"],                "",          "remove all finished jobs shown",                             Everywhere, G::Jobs;
    A::Undo,           "undo",            ["u"],                "",          "undo the last removal, for 10 s",                            Everywhere, G::Jobs;
    A::MoveUp,         "move-up",         ["{"],                "",          "move the job, or the marked ones, up in their queue",         Everywhere, G::Jobs;
    A::MoveDown,       "move-down",       ["}"],                "",          "move the job, or the marked ones, down in their queue",       Everywhere, G::Jobs;
    A::Add,            "add",             ["a"],                "add",       "add a job to this queue",                                    Everywhere, G::Jobs;
    A::Edit,           "edit",            ["e"],                "edit",      "edit jobs.yaml at the selected job, or where it is wrong",   Everywhere, G::Jobs;
    A::Save,           "save",            ["S"],                "",          "write the job into jobs.yaml, if it was added by hand",      Everywhere, G::Jobs;
    A::Mark,           "mark",            ["Space"],            "mark",      "mark the job: run, cancel, kill, remove and move are for the marked ones", Lists, G::Jobs;
    A::MarkAll,        "mark-all",        ["*"],                "",          "mark all jobs that this list shows, or none",                 Lists, G::Jobs;
    A::Down,           "down",            ["j", "Down"],        "",          "down",                                                       Everywhere, G::Move;
    A::Up,             "up",              ["k", "Up"],          "",          "up",                                                         Everywhere, G::Move;
    A::First,          "first",           ["g", "Home"],        "",          "to the top",                                                 Everywhere, G::Move;
    A::Last,           "last",            ["G", "End"],         "",          "to the end",                                                 Everywhere, G::Move;
    A::PageDown,       "page-down",       ["PgDn"],             "",          "a page down",                                                Everywhere, G::Move;
    A::PageUp,         "page-up",         ["PgUp"],             "",          "a page up",                                                  Everywhere, G::Move;
    A::HalfDown,       "half-down",       ["^d"],               "",          "half a page down",                                           Everywhere, G::Move;
    A::HalfUp,         "half-up",         ["^u"],               "",          "half a page up",                                             Everywhere, G::Move;
    A::NextPane,       "next-pane",       ["Tab", "l", "Right"],     "pane", "to the next pane",                                           Everywhere, G::Move;
    A::PreviousPane,   "previous-pane",   ["S-Tab", "h", "Left"],    "",     "to the previous pane",                                       Everywhere, G::Move;
    A::PreviousQueue,  "previous-queue",  ["["],                "",          "to the previous queue",                                      Everywhere, G::Move;
    A::NextQueue,      "next-queue",      ["]"],                "queue",     "to the next queue",                                          Everywhere, G::Move;
    A::NthQueue(1),    "queue-1",         ["1"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(2),    "queue-2",         ["2"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(3),    "queue-3",         ["3"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(4),    "queue-4",         ["4"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(5),    "queue-5",         ["5"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(6),    "queue-6",         ["6"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(7),    "queue-7",         ["7"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(8),    "queue-8",         ["8"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::NthQueue(9),    "queue-9",         ["9"],                "",          "to the queue with that number",                              Everywhere, G::Move;
    A::AllQueues,      "all-queues",      ["0"],                "",          "the jobs of all queues together",                            Everywhere, G::Move;
    A::Open,           "open",            ["Enter"],            "open",      "give the output the whole screen",                           Everywhere, G::Move;
    A::Find,           "find",            ["/"],                "find",      "filter the lists; in the output, search it",                 Everywhere, G::Move;
    A::Failures,       "failures",        ["F"],                "",          "show failures only, or everything again",                    Everywhere, G::Move;
    A::Sort,           "sort",            ["c"],                "",          "sort the lists by title, time taken, outcome, or as they are", Everywhere, G::Move;
    A::Zoom,           "zoom",            ["z"],                "",          "give this pane the whole screen, or take it back",           Everywhere, G::Move;
    A::Detail,         "detail",          ["v"],                "details",   "details of the selected job: command, needs, runs",          Everywhere, G::Output;
    A::OutputDown,     "output-down",     ["J"],                "",          "scroll the output down, from any pane",                      Everywhere, G::Output;
    A::OutputUp,       "output-up",       ["K"],                "",          "scroll the output up, from any pane",                        Everywhere, G::Output;
    A::OutputLeft,     "output-left",     ["H"],                "",          "scroll cut lines of the output to their beginning",          Everywhere, G::Output;
    A::OutputRight,    "output-right",    ["L"],                "",          "scroll cut lines of the output to their end",                Everywhere, G::Output;
    A::Page,           "pager",           ["o"],                "pager",     "open the output in $PAGER",                                  Everywhere, G::Output;
    A::Copy,           "copy",            ["y"],                "copy",      "copy the job's name; in the output, what is in view, or the line found", Everywhere, G::Output;
    A::CopyAll,        "copy-all",        ["Y"],                "",          "copy the job's command; in the output, all of it",           Everywhere, G::Output;
    A::Follow,         "follow",          ["f"],                "follow",    "follow the output, or hold it",                              Everywhere, G::Output;
    A::EarlierRun,     "earlier-run",     ["<"],                "",          "the output of the run before",                               Everywhere, G::Output;
    A::LaterRun,       "later-run",       [">"],                "",          "the output of the run after",                                Everywhere, G::Output;
    A::Wrap,           "wrap",            ["w"],                "wrap",      "wrap long lines of the output, or cut them",                 Everywhere, G::Output;
    A::Times,          "times",           ["t"],                "times",     "show when lines were printed, and a bar beside standard error", Everywhere, G::Output;
    A::Tiles,          "tiles",           ["T"],                "tiles",     "the output of all running jobs side by side; again: of all queues", Everywhere, G::Output;
    A::Type,           "type",            ["i"],                "type",      "type into a job that runs in a terminal; ^z comes back",     Everywhere, G::Output;
    A::FindNext,       "find-next",       ["n"],                "",          "to the next match in the output",                            Everywhere, G::Output;
    A::FindPrevious,   "find-previous",   ["N"],                "",          "to the previous match in the output",                        Everywhere, G::Output;
    A::Back,           "back",            ["Esc"],              "",          "back one level; never quits",                                Everywhere, G::Screen;
    A::Suspend,        "suspend",         ["^z"],               "",          "suspend setlist; fg brings it back",                         Everywhere, G::Screen;
    A::Mouse,          "mouse",           ["M"],                "",          "let go of the mouse, so that the terminal selects text, or take it", Everywhere, G::Screen;
    A::Palette,        "palette",         [":"],                "",          "find any action by its name, and do it",                     Everywhere, G::Screen;
    A::Help,           "help",            ["?"],                "help",      "this help: / finds, Enter does what it shows",              Everywhere, G::Screen;
    A::Quit,           "quit",            ["q", "^c"],          "quit",      "quit; jobs that run go on",                                  Everywhere, G::Screen;
    A::StopAndQuit,    "stop-and-quit",   ["Q"],                "",          "stop all running jobs and quit (asks)",                      Everywhere, G::Screen;
];

impl Context {
    /// Whether a key may be pressed in both.
    pub fn overlaps(self, other: Self) -> bool {
        self == other || self == Everywhere || other == Everywhere
    }
}

impl Action {
    /// What the table says of it.
    pub fn entry(self) -> Option<&'static Entry> {
        TABLE.iter().find(|entry| entry.action == self)
    }
}
