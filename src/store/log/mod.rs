//! The output of runs: bounded log files, each with one writer and any number of readers.
//!
//! The output of run 7 starts in `7.log`, the head, which may take half of the limit. The rest goes to `7.tail`, a ring
//! in which the newest bytes replace the oldest (see `tail_segment.rs`). When the run ends, the tail is moved behind
//! the head, so that `7.log` can be opened with any pager: the head, a line that says how much is missing, the tail. If
//! nothing is missing, `7.tail` is removed; else only its header remains, which records where the gap is.
//!
//! Offsets are those of the output as written by the run. They stay the same when output is dropped and when the run
//! ends; the line about the gap has no offsets and is not returned by [`LogReader`].
//!
//! When a run has ended, a store may keep a small log in the place of its files (see `stored_output.rs`). A file that exists
//! is read first: then the store has the same.
//!
//! Both streams are interleaved as they arrived; the stream and time of each part are in `7.marks` (see
//! `stream_index.rs`). The sizes of a run's terminal are in `7.sizes` (see `terminal_sizes.rs`), the result of its
//! `on_finish` hook is in `7.hook`.

mod callbacks;
mod compact;
mod deletion;
mod files;
mod hook_result;
mod index_reader;
mod index_writer;
#[cfg(target_os = "linux")]
mod inotify_watches;
mod line_diff;
mod line_search;
mod log_file;
mod log_watch;
mod lost_notes;
mod notices;
mod reader;
mod stored_output;
mod stream_index;
mod tail_segment;
mod terminal_sizes;
mod watched_runs;
mod writer;

pub(super) use callbacks::{Fetch, FetchFn, LogProgress, ProgressFn};
pub use compact::recover;
pub use deletion::{delete_log, delete_output, log_sizes};
pub(super) use deletion::{is_worth_deleting, small_logs};
pub use files::log_path;
pub(super) use files::{forget_own, is_own, record_own};
pub(super) use hook_result::save_hook_result;
pub use index_reader::OutputSpan;
pub use line_diff::{DiffLine, LineEquality, MAX_COMPARED_LINES, OutputDiff};
pub use line_search::{LinePattern, LineSearch, OutputLine, is_plain};
pub(super) use lost_notes::LostNotes;
pub use notices::omission_notice;
pub use reader::{LogChunk, LogReader};
pub(super) use stored_output::{StoredOutput, StoredOutputs};
pub use stream_index::OutputOrigin;
pub use watched_runs::WatchedRuns;
pub use writer::LogWriter;
