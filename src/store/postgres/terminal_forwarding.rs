//! Forwards the input of terminals between machines, on threads that start when they are needed.

use std::sync::{Arc, OnceLock};

use super::input_receiver::InputReceiver;
use super::input_sender::InputSender;
use super::site_client::SiteClient;
use crate::store::terminal_input::{InputEvent, InputForwarding, TerminalInputError};

/// The forwarding of one connection.
pub(super) struct TerminalForwarding {
    client: SiteClient,
    sender: OnceLock<Option<InputSender>>,
    receiver: OnceLock<Option<InputReceiver>>,
}

impl TerminalForwarding {
    pub(super) fn new(client: SiteClient) -> Self {
        Self { client, sender: OnceLock::new(), receiver: OnceLock::new() }
    }

    /// What the pipes of this machine call.
    pub(super) fn callback(self: &Arc<Self>) -> InputForwarding {
        let forwarding = Arc::clone(self);
        InputForwarding::new(move |event| forwarding.handle(event))
    }

    fn handle(&self, event: InputEvent) -> Result<(), TerminalInputError> {
        match event {
            InputEvent::Opened(run, pipe) => {
                let receiver = self.receiver.get_or_init(|| {
                    let warn = |error: &_| tracing::warn!(%error, "other machines can't type into terminals here");
                    InputReceiver::start(&self.client).inspect_err(warn).ok()
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
                let sender = self.sender.get_or_init(|| InputSender::start(&self.client).ok());
                let sender = sender.as_ref().ok_or(TerminalInputError::NotConnected)?;
                sender.send(run, frame)
            }
        }
    }
}
