//! Jobs, queues and sites, and how they change. Pure: no files, no processes, no clock.
//!
//! [`perform`] turns a [`Command`] into [`Event`]s; [`SiteState::apply`] and [`Job::apply`] turn events into state.
//! Every change to a job goes through these functions, in memory and in every store.

mod active_queues;
mod call;
mod checks;
mod command;
mod decide;
mod event;
mod hook;
mod id;
mod queue_index;
mod queue_settings;
mod job;
mod site_state;
mod reorder;
mod needs;
mod id_hasher;
mod perform;
mod position;
mod query;
mod queue;
mod reconcile;
mod reservation;
mod run;
mod next_job;
mod script;
mod propagate;
mod exec_options;
mod site;
mod scheduling_options;
mod terminal_input;
mod state_reader;
mod wait_reason;
mod worker_info;

pub use call::{Arguments, Call, Callable, IntoCall, IntoReturnValue};
pub use command::{Placement, Command, NothingToDo, DesiredState, DesiredQueue, Refusal};
pub use checks::DecideError;
pub use event::{AfterRun, Event, EventRecord, RemovalReason};
pub use hook::{Hook, HookResult};
pub use id::{JobId, QueueId, RunId, WorkerId};
pub use job::{Definition, IntoJob, Job, ResolvedNeed, Phase, JobState, Readiness, WaitConditions};
pub use site_state::{Counters, SiteState, QueueState};
pub use query::{Query, QueryError};
pub use queue::Queue;
pub use queue_settings::{OnFailure, QueueMode, QueueSettings, Retention};
pub use run::{RunEnd, Exit, Failure, FailureKind, Outcome, RunReport, Run, StopSignal, Stream};
pub use next_job::next_ready_job;
pub use script::{Program, Script};
pub use serde_json::Value;
pub use perform::perform;
pub use exec_options::ExecOptions;
pub use site::{Site, get_queue};
pub use scheduling_options::{NotBefore, Need, OutcomeCondition, RetryPolicy, RetryOn, JobRef, SchedulingOptions};
pub use terminal_input::{TerminalInput, WindowSize};
pub use state_reader::{DeclaredJob, QueueInfo, StateReader};
pub use wait_reason::WaitReason;
pub use worker_info::{Reservation, WorkerInfo};
