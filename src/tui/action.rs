//! The action table: all actions with their keys and help. The help, the key hints, the README and every text that names
//! a key come from it.

/// An action of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the table describes each one")]
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
    Fix,
    Save,
    Reload,
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
    Overview,
    FindQueue,
    Timeline,
    History,
    Graph,
    Results,
    Changes,
    Workers,
    Approvals,
    FollowNewest,
    Failures,
    Sort,
    ZoomPane,
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
    Artifacts,
    Diff,
    Copy,
    CopyAll,
    Type,
    Find,
    FindNext,
    FindPrevious,
    SearchAll,
    Mouse,
    CommandPalette,
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

/// A group of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Actions on queues and jobs.
    Jobs,
    /// Navigation.
    Move,
    /// The output of the selected job.
    Output,
    /// The screen itself.
    Screen,
}

/// A row of the table.
#[derive(Debug)]
pub struct ActionEntry {
    /// The action.
    pub action: Action,
    /// Its name in `config.yaml` and in the command palette.
    pub name: &'static str,
    /// Its default keys, in the notation of [`KeyPress`](super::keys::KeyPress); hints show the first one.
    pub keys: &'static [&'static str],
    /// One or two words for the key hints; empty without a hint.
    pub hint: &'static str,
    /// What it does, in a line. Neighbouring rows with the same text share a line of the help.
    pub help: &'static str,
    /// Where its keys work.
    pub context: Context,
    /// Its group in the help.
    pub group: Group,
}

use Action as A;
use Context::{Everywhere, Lists};
use Group as G;

#[rustfmt::skip]
macro_rules! table {
    ($($action:expr, $name:expr, $keys:expr, $hint:expr, $help:expr, $context:expr, $group:expr;)*) => {
        &[$(ActionEntry {
            action: $action, name: $name, keys: &$keys, hint: $hint, help: $help, context: $context, group: $group,
        }),*]
    };
}

/// The action table, in the order of the hints and the help.
#[rustfmt::skip]
pub static TABLE: &[ActionEntry] = table![
    A::Process,        "process",        ["p"],                    "process/pause", "process this queue, or pause it",                                Everywhere, G::Jobs;
    A::ProcessAll,     "process-all",    ["P"],                    "",              "process all queues, or pause them",                              Everywhere, G::Jobs;
    A::MoreParallel,   "more-parallel",  ["+"],                    "",              "run one more job of this queue at a time",                       Everywhere, G::Jobs;
    A::LessParallel,   "less-parallel",  ["-"],                    "",              "run one job fewer of this queue at a time",                      Everywhere, G::Jobs;
    A::Run,            "run",            ["r"],                    "run",           "run the selected or marked jobs now",                            Everywhere, G::Jobs;
    A::RunFailed,      "run-failed",     ["R"],                    "",              "run all shown failed jobs again",                                Everywhere, G::Jobs;
    A::Cancel,         "cancel",         ["x"],                    "cancel",        "cancel the selected or marked jobs (TERM, then KILL)",           Everywhere, G::Jobs;
    A::Kill,           "kill",           ["X"],                    "",              "kill the selected or marked jobs (needs confirmation)",          Everywhere, G::Jobs;
    A::Remove,         "remove",         ["d"],                    "remove",        "remove the selected or marked jobs",                             Everywhere, G::Jobs;
    A::ClearFinished,  "clear-finished", ["D"],                    "",              "remove all shown finished jobs",                                 Everywhere, G::Jobs;
    A::Undo,           "undo",           ["u"],                    "",              "undo the last removal, for 10 seconds",                          Everywhere, G::Jobs;
    A::MoveUp,         "move-up",        ["{"],                    "",              "move the selected or marked jobs up in their queue",             Everywhere, G::Jobs;
    A::MoveDown,       "move-down",      ["}"],                    "",              "move the selected or marked jobs down in their queue",           Everywhere, G::Jobs;
    A::Add,            "add",            ["a"],                    "add",           "add a job to this queue",                                        Everywhere, G::Jobs;
    A::Edit,           "edit",           ["e"],                    "edit",          "edit jobs.yaml at the selected job, or at its first error",      Everywhere, G::Jobs;
    A::Fix,            "fix",            ["E"],                    "fix",           "edit the field of jobs.yaml that fixes the selected failure",    Everywhere, G::Jobs;
    A::Save,           "save",           ["S"],                    "",              "save the selected job to jobs.yaml",                             Everywhere, G::Jobs;
    A::Reload,         "reload",         ["^r"],                   "",              "read jobs.yaml and the items of for_each again",                 Everywhere, G::Jobs;
    A::Mark,           "mark",           ["Space"],                "mark",          "mark the job, to run, cancel, kill, remove or move several",     Lists, G::Jobs;
    A::MarkAll,        "mark-all",       ["*"],                    "",              "mark all jobs of this list, or none",                            Lists, G::Jobs;
    A::Down,           "down",           ["j", "Down"],            "",              "go down",                                                        Everywhere, G::Move;
    A::Up,             "up",             ["k", "Up"],              "",              "go up",                                                          Everywhere, G::Move;
    A::First,          "first",          ["g", "Home"],            "",              "go to the top",                                                  Everywhere, G::Move;
    A::Last,           "last",           ["G", "End"],             "",              "go to the end",                                                  Everywhere, G::Move;
    A::PageDown,       "page-down",      ["PgDn"],                 "",              "go down a page",                                                 Everywhere, G::Move;
    A::PageUp,         "page-up",        ["PgUp"],                 "",              "go up a page",                                                   Everywhere, G::Move;
    A::HalfDown,       "half-down",      ["^d"],                   "",              "go down half a page",                                            Everywhere, G::Move;
    A::HalfUp,         "half-up",        ["^u"],                   "",              "go up half a page",                                              Everywhere, G::Move;
    A::NextPane,       "next-pane",      ["Tab", "l", "Right"],    "pane",          "go to the next pane",                                            Everywhere, G::Move;
    A::PreviousPane,   "previous-pane",  ["S-Tab", "h", "Left"],   "",              "go to the previous pane",                                        Everywhere, G::Move;
    A::PreviousQueue,  "previous-queue", ["["],                    "",              "go to the previous queue",                                       Everywhere, G::Move;
    A::NextQueue,      "next-queue",     ["]"],                    "queue",         "go to the next queue",                                           Everywhere, G::Move;
    A::NthQueue(1),    "queue-1",        ["1"],                    "",              "go to the queue with that number",                               Everywhere, G::Move;
    A::NthQueue(2),    "queue-2",        ["2"],                    "",              "go to the queue with that number",                               Everywhere, G::Move;
    A::NthQueue(3),    "queue-3",        ["3"],                    "",              "go to the queue with that number",                               Everywhere, G::Move;
    A::NthQueue(4),    "queue-4",        ["4"],                    "",              "go to the queue with that number",                               Everywhere, G::Move;
    A::NthQueue(5),    "queue-5",        ["5"],                    "",              "go to the queue with that number",                               Everywhere, G::Move;
    A::NthQueue(6),    "queue-6",        ["6"],                    "",              "go to the queue with that number",                               Everywhere, G::Move;
    A::NthQueue(7),    "queue-7",        ["7"],                    "",              "go to the queue with that number",                               Everywhere, G::Move;
    A::NthQueue(8),    "queue-8",        ["8"],                    "",              "go to the queue with that number",                               Everywhere, G::Move;
    A::NthQueue(9),    "queue-9",        ["9"],                    "",              "go to the queue with that number",                               Everywhere, G::Move;
    A::AllQueues,      "all-queues",     ["0"],                    "",              "show the jobs of all queues",                                    Everywhere, G::Move;
    A::Overview,       "overview",       ["b"],                    "",              "show an overview of all queues; Enter goes into one",            Everywhere, G::Move;
    A::FindQueue,      "find-queue",     ["B"],                    "",              "find a queue by a part of its name",                             Everywhere, G::Move;
    A::Timeline,       "timeline",       ["s"],                    "",              "show the runs of this queue over time, with what they waited for",Everywhere, G::Move;
    A::History,        "history",        ["C"],                    "",              "chart the runs of the selected job: durations, memory, outcomes",Everywhere, G::Move;
    A::Graph,          "graph",          ["m"],                    "",              "map what the selected job needs, and what needs it",             Everywhere, G::Move;
    A::Results,        "results",        ["V"],                    "",              "compare the values of the selected matrix, or of the latest one",Everywhere, G::Move;
    A::Changes,        "changes",        [","],                    "",              "compare the latest runs with those of a week ago",               Everywhere, G::Move;
    A::Workers,        "workers",        ["W"],                    "",              "show the workers, and what each of them runs",                   Everywhere, G::Move;
    A::Approvals,      "approvals",      ["A"],                    "",              "go to the next job that needs approval",                         Everywhere, G::Move;
    A::FollowNewest,   "follow-newest",   ["."],                    "",              "follow the newest job, until the cursor is moved",               Everywhere, G::Move;
    A::Open,           "open",           ["Enter"],                "open",          "show the output full screen",                                    Everywhere, G::Move;
    A::Find,           "find",           ["/"],                    "find",          "filter the lists, or search the output",                         Everywhere, G::Move;
    A::SearchAll,      "search-all",     ["^f"],                   "",              "search the output of all jobs",                                  Everywhere, G::Move;
    A::Failures,       "failures",       ["F"],                    "",              "show only failures, or all jobs",                                Everywhere, G::Move;
    A::Sort,           "sort",           ["c"],                    "",              "sort the lists by duration, memory, title, outcome, value or queue",Everywhere, G::Move;
    A::ZoomPane,       "zoom",           ["z"],                    "",              "zoom this pane in or out",                                       Everywhere, G::Move;
    A::Detail,         "detail",         ["v"],                    "details",       "show details of the selected job: command, needs, runs",         Everywhere, G::Output;
    A::OutputDown,     "output-down",    ["J"],                    "",              "scroll the output down, from any pane",                          Everywhere, G::Output;
    A::OutputUp,       "output-up",      ["K"],                    "",              "scroll the output up, from any pane",                            Everywhere, G::Output;
    A::OutputLeft,     "output-left",    ["H"],                    "",              "scroll truncated output lines to the left",                      Everywhere, G::Output;
    A::OutputRight,    "output-right",   ["L"],                    "",              "scroll truncated output lines to the right",                     Everywhere, G::Output;
    A::Page,           "pager",          ["o"],                    "pager",         "open the output in $PAGER",                                      Everywhere, G::Output;
    A::Artifacts,      "artifacts",      ["O"],                    "",              "show what the run has left in $SETLIST_ARTIFACTS, in $PAGER",    Everywhere, G::Output;
    A::Diff,           "diff",           ["="],                    "",              "show what has changed since the previous run, in $PAGER",        Everywhere, G::Output;
    A::Copy,           "copy",           ["y"],                    "copy",          "approve the selected job, or copy its name or the output",       Everywhere, G::Output;
    A::CopyAll,        "copy-all",       ["Y"],                    "",              "copy the job's command, or the whole output",                    Everywhere, G::Output;
    A::Follow,         "follow",         ["f"],                    "follow",        "follow the output, or stop following",                           Everywhere, G::Output;
    A::EarlierRun,     "earlier-run",    ["<"],                    "",              "show the output of the previous run",                            Everywhere, G::Output;
    A::LaterRun,       "later-run",      [">"],                    "",              "show the output of the next run",                                Everywhere, G::Output;
    A::Wrap,           "wrap",           ["w"],                    "wrap",          "wrap long output lines, or truncate them",                       Everywhere, G::Output;
    A::Times,          "times",          ["t"],                    "times",         "show when each line was printed, and mark standard error",       Everywhere, G::Output;
    A::Tiles,          "tiles",          ["T"],                    "tiles",         "show the output of running jobs side by side",                   Everywhere, G::Output;
    A::Type,           "type",           ["i"],                    "type",          "type into a job that runs in a terminal; ^z returns",            Everywhere, G::Output;
    A::FindNext,       "find-next",      ["n"],                    "",              "go to the next match in the output",                             Everywhere, G::Output;
    A::FindPrevious,   "find-previous",  ["N"],                    "",              "go to the previous match in the output",                         Everywhere, G::Output;
    A::Back,           "back",           ["Esc"],                  "",              "go back one level; never quits",                                 Everywhere, G::Screen;
    A::Suspend,        "suspend",        ["^z"],                   "",              "suspend setlist; fg resumes it",                                 Everywhere, G::Screen;
    A::Mouse,          "mouse",          ["M"],                    "",              "release the mouse for selecting text, or capture it",            Everywhere, G::Screen;
    A::CommandPalette, "palette",        [":"],                    "",              "open the command palette: find an action by name",               Everywhere, G::Screen;
    A::Help,           "help",           ["?"],                    "help",          "show this help; / searches it, Enter runs an action",            Everywhere, G::Screen;
    A::Quit,           "quit",           ["q", "^c"],              "quit",          "quit; running jobs continue",                                    Everywhere, G::Screen;
    A::StopAndQuit,    "stop-and-quit",  ["Q"],                    "",              "stop all running jobs and quit (needs confirmation)",            Everywhere, G::Screen;
];

impl Context {
    /// Whether a key can be pressed in both contexts.
    pub fn overlaps(self, other: Self) -> bool {
        self == other || self == Everywhere || other == Everywhere
    }
}

impl Action {
    /// The row of this action.
    pub fn entry(self) -> Option<&'static ActionEntry> {
        TABLE.iter().find(|entry| entry.action == self)
    }
}
