//! What a service manager is told of a worker: systemd's notification protocol, a datagram for each message.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where the manager listens that has started this process.
pub(super) struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Manager {
    /// None where nobody wants to know.
    pub(super) fn of_this_process() -> io::Result<Option<Self>> {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return Ok(None) };
        let socket = UnixDatagram::unbound()?;
        // A manager that doesn't listen must not keep anybody from working.
        socket.set_nonblocking(true)?;
        Ok(Some(Self { socket, address: address(&name)? }))
    }

    /// Tells it some of `READY=1`, `STOPPING=1` and `STATUS=…`, a line each.
    pub(super) fn tell(&self, state: &str) {
        // If it can't be told it goes by what it sees: whether the process lives.
        let _ = self.socket.send_to_addr(state.as_bytes(), &self.address);
    }
}

/// A path, or behind an `@` a name outside of the file system.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_encoded_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        _ => SocketAddr::from_pathname(name),
    }
}
