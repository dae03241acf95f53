//! Forwards the input of terminals between machines, on threads that start when they are needed.

use std::sync::{Arc, OnceLock};

use super::input_receiver::InputReceiver;
use super::input_sender::InputSender;
use super::server_address::ServerAddress;
use crate::store::store_clock::StoreClock;
use crate::store::terminal_input::{InputEvent, InputForwarding, TerminalInputError};

/// The forwarding of one connection.
pub(super) struct TerminalForwarding {
    address: ServerAddress,
    clock: StoreClock,
    site: i32,
    /// The name of the connection.
    client: String,
    sender: OnceLock<Option<InputSender>>,
    receiver: OnceLock<Option<InputReceiver>>,
}

impl TerminalForwarding {
    pub(super) fn new(address: &ServerAddress, clock: &StoreClock, site: i32, client: &str) -> Self {
        Self {
            address: address.clone(),
            clock: clock.clone(),
            site,
            client: client.to_owned(),
            sender: OnceLock::new(),
            receiver: OnceLock::new(),
        }
    }

    /// What the pipes of this machine call.
    pub(super) fn callback(self: &Arc<Self>) -> InputForwarding {
        let forwarding = Arc::clone(self);
        InputForwarding::new(move |event| forwarding.handle(event))
    }

    fn handle(&self, event: InputEvent) -> Result<(), TerminalInputError> {
        match event {
            InputEvent::Opened(run, pipe) => {
                let start = || InputReceiver::start(&self.address, self.clock.clone(), self.site, &self.client);
                let receiver = self.receiver.get_or_init(|| {
                    let warn = |error: &_| tracing::warn!(%error, "other machines can't type into terminals here");
                    start().inspect_err(warn).ok()
                });
                let receiver = receiver.as_ref().ok_or(TerminalInputError::NotConnected)?;
                receiver.open(run, pipe);
                Ok(())
            }
            InputEvent::Closed(run) => {
                if let Some(Some(receiver)) = self.receiver.get() {
                    receiver.close(run);
                }
                Ok(())
            }
            InputEvent::Typed(run, frame) => {
                let start = || InputSender::start(&self.address, self.clock.clone(), self.site, &self.client).ok();
                let sender = self.sender.get_or_init(start).as_ref().ok_or(TerminalInputError::NotConnected)?;
                sender.send(run, frame)
            }
        }
    }
}
