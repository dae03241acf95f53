//! Notifies a service manager of the state of a worker, by systemd's notification protocol.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager that started this process.
pub(super) struct ServiceManager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl ServiceManager {
    /// `None` if the process was not started by one that expects notifications.
    pub(super) fn from_env() -> io::Result<Option<Self>> {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return Ok(None) };
        let socket = UnixDatagram::unbound()?;
        // A manager that doesn't read must not block the worker.
        socket.set_nonblocking(true)?;
        Ok(Some(Self { socket, address: address(&name)? }))
    }

    /// Sends `READY=1`, `STOPPING=1` or `STATUS=…`, one per line.
    pub(super) fn notify(&self, state: &str) {
        // If it can't be sent, the manager still sees whether the process lives.
        let _ = self.socket.send_to_addr(state.as_bytes(), &self.address);
    }
}

/// A path, or with `@` an abstract name.
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
