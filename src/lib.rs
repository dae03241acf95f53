//! Setlist: a job queue that lives in the terminal.
//!
//! # Map
//!
//! Each layer uses only the layers below it in number, which `tests/suite/architecture.rs` checks.
//!
//! | layer | module | holds |
//! |---|---|---|
//! | 0 | [`text`] | width, sanitizing, truncation, durations, sizes, plurals, quoting |
//! | 1 | [`model`] | jobs, queues, sites; decides commands into events and applies events. Pure: no I/O, and `now` is an argument |
//! | 2 | [`definition`] | reads `jobs.yaml` into the model, with diagnostics |
//! | 2 | [`store`] | durable sites behind one trait (memory, `SQLite`, `PostgreSQL`), the output of runs, change notification |
//! | 2 | [`runner`] | operating-system processes: start, output, pseudo-terminals, stop, outcome |
//! | 3 | [`site`] | opens a site, follows its `jobs.yaml`, reaps dead workers and starts others |
//! | 4 | [`worker`] | runs the jobs of a site: claims, starts and records them; also [`Queue::process`] |
//! | 4 | [`tui`] | the screen: shows a copy of a site and sends commands |
//! | 5 | [`cli`] | arguments and output; the only layer that uses all others |
//!
//! Beside the layers, `clock` is the system clock, `account` finds users, `file_trust` checks who can change a file,
//! `regular_file` opens files without blocking, `stable_hash` hashes what is stored, the same in every version, and `crash`
//! names the points at which tests kill a process of a debug build.
//!
//! There is one way to change a site: a [`Command`] is decided by [`model::perform`] in a transaction of a
//! [`store::Store`], which records the resulting [`Event`]s. Workers and screens read these events and apply them to their
//! own copy, a [`model::SiteState`].
//!
//! ## A key press
//!
//! 1. The input thread (`tui/input_thread.rs`) sends a [`tui::message::Message`] to the main loop (`tui/session.rs`).
//! 2. [`tui::Screen::handle`] (`tui/update.rs`) finds the [`tui::action::Action`] in the [`tui::keymap::Keymap`];
//!    `tui/actions` turns it into [`tui::effect::Effect`]s, such as a [`Command`] for the store.
//! 3. [`tui::store_thread::StoreThread`] executes the command in the store.
//! 4. It reads the new events, which the screen applies to its copy; `tui/view` draws the next frame from that.
//!
//! To add a key, add an entry to `TABLE` in `tui/action.rs`: keys, hints, help and the README come from that table.
//!
//! ## A job: from `jobs.yaml` to its record
//!
//! 1. [`definition::read`] parses the file into a [`model::DesiredState`], or returns [`definition::Diagnostics`].
//! 2. [`Command::Reconcile`] compares it with the site (`model/reconcile.rs`) and adds, changes and removes jobs.
//! 3. A worker claims a ready job with [`Command::Claim`] (`model/next_job.rs`), which starts a [`model::Run`].
//! 4. `worker/event_loop/launch.rs` starts the process with a [`runner::Launch`]; its output goes to a
//!    [`store::log::LogWriter`].
//! 5. [`Command::EndRun`] records the [`model::Outcome`]; `model/decide.rs` decides a retry or a stopped queue,
//!    `model/propagate.rs` unblocks or skips dependents.
//!
//! ## The end of a run: from the process to the screen
//!
//! 1. The [`runner`] waits for the process and its output, and returns a [`model::RunReport`] as a message to the
//!    worker's event loop (`worker/event_loop.rs`).
//! 2. The worker collects reports into a batch (`worker/event_loop/commit.rs`), and `worker/commit_thread.rs` commits
//!    [`Command::EndRun`] for each in one transaction.
//! 3. The store notifies all subscribers (`store/notifier.rs`).
//! 4. The store thread of each screen reads the events since its last sequence number and sends them to the main loop.
//!
//! ## A dead worker
//!
//! 1. A worker holds a [`store::WorkerLock`] on its file as long as its process lives (`store/worker_liveness.rs`).
//! 2. Screens, other workers and waiting commands watch these files with a [`store::LivenessWatch`], and check them
//!    before they rely on a worker.
//! 3. [`site::reap_dead_workers`] kills the processes that a dead worker left ([`runner::kill_orphans`]) and executes
//!    [`Command::ReapWorker`], which ends its runs as interrupted and retries them if the file says so.
//! 4. Where a server has the site, workers of other machines are dead when their [`store::WorkerLease`] has run out
//!    (`store/postgres/leases.rs`); their processes can't be killed from here. Such a worker stops its jobs when it finds
//!    that out, and joins again (`cli/worker.rs`).
//! 5. [`site::respawn_worker`] starts another worker if a queue needs one, up to a limit per minute.
//!
//! ## Where to change what
//!
//! | change | files |
//! |---|---|
//! | a key or an action of the screen | `tui/action.rs` (table), `tui/actions` (what it does) |
//! | a page of the screen (timeline, history, needs, results, workers) | `tui/page.rs` (which there are), the state of each in a file of `tui`, drawn by the file of the same name in `tui/view`; the runs of a period: `store/sqlite/run_spans.rs` |
//! | a colour or a theme | `tui/theme.rs`; colours of the user: `tui/role_colors.rs` |
//! | why a key does nothing now | `tui/actions` |
//! | a field of a job | read by `definition/fields.rs`, and `inherited_fields.rs` or `job.rs`; kept in `model/exec_options.rs` or `scheduling_options.rs`; written back by `definition/save/entry.rs`; shown by `tui/view/job_details.rs` and `cli/show.rs`; an option of `add` in `cli/job_option_args.rs` and `job_options.rs`; described in `cli/help/jobs.yaml.md` |
//! | which files `jobs.yaml` includes, and what wins | `definition/include.rs`; watched by `site/file_watch.rs` |
//! | an error of `jobs.yaml` | the file of `definition` that reads the field; `definition/yaml_errors.rs` for syntax |
//! | a reason why a job waits | `model/wait_reason.rs` (found and worded), `explanation.rs`; what makes it wait: `WaitConditions` in `model/job.rs`, `next_job.rs`, `pool_turns.rs`, `worker_match.rs` |
//! | why a command is refused | `model/command.rs` (`Refusal`), `model/decide.rs` |
//! | an event | `model/event.rs`; applied in `model/job_transitions.rs` or `site_state.rs`, and in `store/sqlite/apply.rs` and `store/postgres/row_changes.rs`; those of schedules in `model/site_state/schedules.rs` and `store/sqlite/apply_schedules.rs`; whether it can end the work of a queue: `model/propagate.rs` (`can_end_queue`) |
//! | a message of the screen | `tui/reply_text.rs` (what the store answered), `tui/actions` and `tui/output_pane.rs` (why a key does nothing), `tui/view` (what is drawn); how long it is shown: `tui/status_line.rs` |
//! | a message of a command | the file of the command in `cli`, or `cli/error.rs`; why the store refused it: `model/command.rs`; how it waits or retries: `cli/job_commands.rs` |
//! | a queue without a worker, on the screen | `tui/view/header.rs`, `status_line.rs`, `idle_reason.rs` |
//! | what happens at a due time | `model/due_times.rs` (decided), `due_outcomes.rs` (how its run ended), `recurrence.rs` (when) |
//! | the delay of retries | `model/retry.rs` |
//! | the environment of a job | `runner/variables.rs` (order), `worker/setlist_variables.rs` (`SETLIST_…`), `worker/environment_cache.rs` (the user's) |
//! | `snapshot: git` | when a snapshot is made: `site/snapshots.rs`, `worker/event_loop/snapshots.rs`; recorded by `model/job_snapshots.rs` and `request_inputs.rs`; how git is run: `runner/git`; what is removed when: `site/snapshots.rs`, `worker/run_folders.rs` |
//! | what running jobs use | `runner/live_usage.rs`, `site/run_usage.rs`; shown by `tui/run_usage.rs` and `cli/usage_now.rs` |
//! | which processes belong to a run | `runner/process_tree.rs`; its cgroup: `runner/cgroup.rs`, and when it enters it: `cgroup_entry.rs` |
//! | signals of cancel, kill and timeout | `runner/run_process.rs` |
//! | when a worker exits | `worker/event_loop.rs`; whether it may: `leave` in `model/decide.rs` |
//! | a worker that was suspended or cut off | how others find out: `site/reap.rs`, `store/postgres/leases.rs` (how long a lease lasts: `store/worker_lease.rs`), `store/reservation_lock.rs`; what it does when it is back: `worker/event_loop/site_events.rs`, `cli/worker.rs` |
//! | the items of `for_each` | `definition/items.rs` (read), `item_data.rs` (their keys), `item_sources.rs` (files and lines), `returned_items.rs` (values of jobs) |
//! | patterns of files | `model/file_pattern.rs` (what matches); found by `definition/file_glob.rs` (`for_each`) and `runner/sources/file_walk.rs` (`sources`, `outputs`) |
//! | `store copy` | `site/store_copy.rs` (between which stores), `store/copy_site.rs`, `store/site_export.rs` (what is copied and compared) |
//! | when the needs of a job are met | `model/needed_state.rs`; counted in `model/need_index.rs` and `store/sqlite/need_rows.rs` |
//! | retention | `model/queue_settings.rs`, `model/decide.rs` (jobs), `store/sqlite/prune.rs` and `store/postgres/prune.rs` (runs), `store/log/deletion.rs` (output), `worker/pruner.rs`, `worker/trusted_clock.rs` |
//! | a column or format of the output | `cli/status.rs`, `show.rs` and `list.rs` (text), `json_records.rs` (JSON); of `report`: `cli/report/mod.rs` |
//! | a condition of `status --check` | `cli/status_check.rs`, `cli/help/monitoring.md` |
//! | where output is kept | `store/log` (files); that of ended runs in `store/sqlite/output_rows.rs`, if `store/log/stored_output.rs` says that it is small |
//! | how a command finds jobs (`queue/name`, `#7`, `@last`; `queue/*`, `--tag`, `--query`) | `cli/job_lookup.rs`; `cli/job_selection.rs` |
//! | a form of a duration, size, count or quoted command | `text` |
//! | another store | the trait [`store::Store`] (`store/backend.rs`), `site/open.rs`; which server has a site: `store/server_record.rs`, with the address in `store/postgres/server_address.rs` |
//! | what happens while a server is away | `store/postgres/session.rs` (connects again), `tui/store_thread/outage.rs` (the screen), `cli/change_waiter.rs` (commands), `worker/event_loop.rs` |
//! | what is typed into the terminal of a job | `tui/typing.rs`, `store/terminal_input.rs`; on another machine: `store/postgres/input_sender.rs`, `input_receiver.rs` |
//! | which copy of `jobs.yaml` is in force for several machines | `site/reconcile.rs` |
//! | wrapping of lines | `tui/output/line_wrapping.rs` |
//!
//! ## Glossary
//!
//! | term | meaning |
//! |---|---|
//! | site | one set of queues: a `jobs.yaml` and its state in `.setlist`. Sites nest; the nearest one wins |
//! | queue | a named list of jobs: pending, running, finished |
//! | job | something callable with a title, arguments and keyword arguments, numbered `#n`; from a file it has a name: `queue/name` |
//! | definition | a job as written in `jobs.yaml`: a [`model::Definition`] |
//! | run | one attempt at a job, with its own id: a [`model::Run`] |
//! | executed | when a job finished executing; none before |
//! | value | what a job returned; no value and an empty value differ |
//! | outcome | how a run or job ended: succeeded, failed, cancelled, interrupted, skipped: a [`model::Outcome`] |
//! | artifacts | what a run leaves in `$SETLIST_ARTIFACTS`; kept with the run |
//! | worker | a process that runs jobs |
//! | process | to attempt the pending jobs of a queue |
//! | reconcile | to change a site into what its file describes |
//! | reap | to end the runs of a worker that died |
//! | reservation | a job that a worker may start before the end of the previous one is on disk |
//! | hook | a command that `on_finish` runs when a run has ended |
//!
//! # The queue as a library
//!
//! ```
//! use setlist::{Job, get_queue};
//!
//! let queue = get_queue("my.very.special.queue");
//! queue.append(|| println!("Job called."));
//! queue.append(Job::new(|| 6 * 7).with_title("The answer"));
//! assert_eq!(queue.process()?, 2);
//! assert_eq!(queue.finished()[1].value.as_deref(), Some(&42.into()));
//! # Ok::<(), setlist::model::Failure>(())
//! ```

mod account;
pub mod cli;
mod clock;
mod crash;
pub mod definition;
mod file_trust;
pub mod model;
mod regular_file;
pub mod runner;
pub mod site;
mod stable_hash;
pub mod store;
pub mod text;
pub mod tui;
pub mod worker;

pub use model::{Command, Event, Job, Queue, Site, get_queue};
