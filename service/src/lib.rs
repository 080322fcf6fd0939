//! What every process of Roadlake does, and nothing of what it does it for.
//!
//! Owns: reading configuration ([`config`]), the clock ([`clock`]), logs ([`logs`]), metrics
//! ([`metrics`]), supervised tasks and orderly stops ([`tasks`]), health ([`health`]), the few paths
//! that probes and Prometheus ask a process for ([`responder`]), small files that are written whole
//! ([`files`]), exit codes ([`exit`]) and which cryptography TLS uses ([`tls`]). It knows no vehicle, no lake and no other HTTP.
//!
//! Every process crate has a raw `Config` (serde, unknown keys refused), a checked `Settings`,
//! and `start(settings, &Tasks, clock) -> Handle`; its `main` loads, starts and waits.

pub mod clock;
pub mod config;
pub mod exit;
pub mod files;
pub mod health;
pub mod logs;
pub mod metrics;
pub mod responder;
pub mod tasks;
pub mod tls;

pub use clock::{Clock, SharedClock};
pub use tasks::Tasks;
