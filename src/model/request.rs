//! Requests of users: the events of a command record the environment of the user who has given it.

use super::{EnvironmentId, Event, QueueMode};

/// Gives the work that these events request the environment of the user who has requested it.
pub(super) fn attach(events: &mut Vec<Event>, environment: EnvironmentId) {
    let mut requests = Vec::new();
    for event in events.iter_mut() {
        match event {
            Event::Added { job } => job.environment = Some(environment),
            Event::Requeued { job, requested: true, .. } => {
                requests.push(Event::JobRequested { job: *job, environment });
            }
            Event::ModeChanged { queue, mode: QueueMode::Processing } => {
                requests.push(Event::QueueRequested { queue: queue.clone(), environment });
            }
            _ => {}
        }
    }
    events.append(&mut requests);
}
