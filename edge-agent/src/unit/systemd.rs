//! Speaking to systemd: the datagrams of sd_notify(3), written by hand.
//!
//! The watchdog is fed only while collecting and uplink both make progress: an agent that hangs
//! is started again by systemd, and goes on from its spool.

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{ffi::OsStrExt, net::SocketAddr, net::UnixDatagram},
    },
    time::Duration,
};

use tracing::{error, warn};

use crate::agent::Handle;

/// How often the status line is told, at least.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);
/// Longest without progress before the watchdog is no longer fed.
const STALL_TIME: Duration = Duration::from_secs(30);

/// The way to the service manager.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    address: SocketAddr,
    /// The manager kills an agent that is silent for so long.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// By `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`; `None` when no manager waits.
    pub fn from_env() -> Option<Self> {
        let name = env::var_os("NOTIFY_SOCKET")?;
        let is_ours = env::var("WATCHDOG_PID").map_or(true, |pid| pid.parse() == Ok(std::process::id()));
        let watchdog =
            env::var("WATCHDOG_USEC").ok().and_then(|us| us.parse().ok()).map(Duration::from_micros);
        match Self::new(&name, watchdog.filter(|w| is_ours && !w.is_zero())) {
            Ok(notifier) => Some(notifier),
            Err(error) => {
                warn!(%error, "service manager cannot be told anything");
                None
            }
        }
    }

    /// To the socket of a path, or of an abstract name that begins with `@`.
    pub fn new(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an @name")),
        };
        let socket = UnixDatagram::unbound()?;
        // A manager whose queue is full must not hold the agent.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, watchdog })
    }

    /// Sends assignments such as `READY=1`, a line each.
    pub fn send(&self, assignments: &str) {
        if let Err(error) = self.socket.send_to_addr(assignments.as_bytes(), &self.address) {
            warn!(%error, "service manager was not told");
        }
    }

    /// Says that the agent runs, then goes on saying how, for as long as it is polled.
    pub async fn attend(&self, handle: &Handle) {
        self.send("READY=1");
        let half = self.watchdog.map(|w| w / 2);
        let stall_time = self.watchdog.map_or(STALL_TIME, |w| w.min(STALL_TIME));
        let mut ticks = tokio::time::interval(half.unwrap_or(STATUS_INTERVAL).min(STATUS_INTERVAL));
        loop {
            ticks.tick().await;
            let of = handle.clone();
            let Ok(stats) = tokio::task::spawn_blocking(move || of.stats()).await else { return };
            let mut message = format!(
                "STATUS={}, {} frames read, {} batches waiting, {} samples dropped",
                stats.link.name(),
                stats.frames,
                stats.batches_in_spool,
                stats.samples_dropped_total(),
            );
            match handle.stalled(stall_time) {
                None => message.push_str("\nWATCHDOG=1"),
                Some(part) => error!(stage = part, "no progress, the watchdog is not fed"),
            }
            self.send(&message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 200];
        let len = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }

    #[test]
    fn a_message_reaches_a_socket_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        Notifier::new(path.as_os_str(), None).unwrap().send("READY=1");
        assert_eq!(received(&manager), "READY=1");

        let name = format!("roadlake-test-{}", uuid::Uuid::new_v4());
        let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        Notifier::new(OsStr::new(&format!("@{name}")), None).unwrap().send("STOPPING=1");
        assert_eq!(received(&manager), "STOPPING=1");
        assert!(Notifier::new(OsStr::new("notify"), None).is_err());
    }
}
