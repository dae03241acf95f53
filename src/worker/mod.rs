//! Floor 2: who runs the jobs.
//!
//! A worker claims what is ready, starts it, reports how it ended and claims the next, until nothing is asked for any
//! more. Whoever asks for work [hires](hire()) one; it outlives the screen and the terminal. Workers know each other only
//! through the store. A queue of this process alone needs no store: [`Queue::process`](crate::Queue::process).

mod environment;
mod error;
mod hire;
mod hooks;
mod keeper;
mod logged;
mod now;
mod office;
mod pace;
mod process;
mod recorder;
mod recover;
mod reload;
mod shift;
mod stock;
mod terminal;

pub use error::WorkerError;
pub use hire::{Succession, hire, replace};
pub use office::Office;
pub use process::{Order, Policy, Processed};
pub use recover::{Buried, bury_the_dead};
pub use shift::{Shift, Urgency};
