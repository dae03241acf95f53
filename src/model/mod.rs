//! Floor 0: what jobs, queues and sites are, and how they change. Pure: no files, no processes, no clock.
//!
//! [`perform`] turns a [`Command`] into [`Event`]s; [`Ledger::apply`] and [`Job::apply`] turn events into state.
//! Everybody who changes or shows a job goes through these two.

mod call;
mod command;
mod decide;
mod event;
mod hook;
mod id;
mod index;
mod job;
mod ledger;
mod moves;
mod needs;
mod neighbours;
mod place;
mod query;
mod queue;
mod reconcile;
mod reserve;
mod run;
mod schedule;
mod script;
mod settle;
mod setup;
mod site;
mod terms;
mod typed;
mod view;
mod waiting;

pub use call::{Arguments, Call, Callable, IntoCall, Returned};
pub use command::{Beside, Command, NothingTo, Plan, QueuePlan, Refusal};
pub use decide::Undecided;
use decide::decide;
pub use event::{Event, Keep, Mode, OnFailure, Recorded, Removal, Reservation, Settings, Then, Worker};
pub use hook::{Hook, HookEnd};
pub use id::{JobId, QueueId, RunId, WorkerId};
pub use job::{Definition, IntoJob, Job, Needed, Phase, State, Turn, Wait};
pub use ledger::{Counters, Ledger, QueueRecord};
pub use query::{Query, QueryError};
pub use queue::Queue;
pub use run::{Ending, Exit, Failure, FailureKind, Outcome, Report, Run, Stop, Stream};
pub use schedule::next_ready;
pub use script::{Program, Script};
pub use serde_json::Value;
pub use settle::perform;
pub use setup::Setup;
pub use site::{Site, get_queue};
pub use terms::{After, Need, On, Retry, RetryOn, Target, Terms};
pub use typed::{Typed, WindowSize};
pub use view::{Filed, QueueView, View};
pub use waiting::Waiting;
