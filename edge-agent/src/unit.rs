//! The agent as a service of its unit: what it shows on loopback, and how it speaks to systemd.
//!
//! [`http`] answers `/metrics`, `/health`, `/ready` and `/v1/state` to who is on the machine
//! already; [`state`] is what it shows; [`systemd`] tells the supervisor that it is ready, how it
//! goes and that it still makes progress. Does not own logs (`service::logs` knows the journal).

pub mod http;
pub mod state;
pub mod systemd;

use std::net::SocketAddr;

/// What the agent shows on its unit.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnitSettings {
    /// Loopback address of the HTTP responder; `None`: none.
    pub listen: Option<SocketAddr>,
}
