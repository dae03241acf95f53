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
mod exec_options;
mod hook;
mod id;
mod id_hasher;
mod interpreter;
mod job;
mod job_transitions;
mod millis;
mod needs;
mod next_job;
mod perform;
mod position;
mod program;
mod propagate;
mod query;
mod queue;
mod queue_index;
mod queue_settings;
mod reconcile;
mod reorder;
mod reservation;
mod run;
mod scheduling_options;
mod script;
mod site;
mod site_state;
mod state_reader;
mod terminal_input;
mod wait_reason;
mod worker_info;

pub use call::{Arguments, Call, Callable, IntoCall, IntoReturnValue};
pub use checks::DecideError;
pub use command::{Command, DesiredQueue, DesiredState, NothingToDo, Placement, Refusal};
pub use event::{AfterRun, Event, EventRecord, RemovalReason};
pub use exec_options::ExecOptions;
pub use hook::{Hook, HookResult};
pub use id::{JobId, QueueId, RunId, WorkerId};
pub use interpreter::Interpreter;
pub use job::{Definition, IntoJob, Job, JobState, Phase, Readiness, ResolvedNeed, WaitConditions};
pub use next_job::next_ready_job;
pub use perform::perform;
pub use program::Program;
pub use query::{Query, QueryError};
pub use queue::{Queue, get_queue};
pub use queue_settings::{OnFailure, QueueMode, QueueSettings, Retention};
pub use run::{Exit, Failure, FailureKind, Outcome, Run, RunEnd, RunReport, StopSignal, Stream};
pub use scheduling_options::{JobRef, Need, NotBefore, OutcomeCondition, RetryOn, RetryPolicy, SchedulingOptions};
pub use script::Script;
pub use serde_json::Value;
pub use site::Site;
pub use site_state::{Counters, QueueState, SiteState};
pub use state_reader::{DeclaredJob, QueueInfo, StateReader};
pub use terminal_input::{TerminalInput, WindowSize};
pub use wait_reason::WaitReason;
pub use worker_info::{Reservation, WorkerInfo};
