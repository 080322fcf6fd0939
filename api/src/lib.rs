//! REST in business domains, each owning its data: `users ← sign_in ← vehicles ← drivers ← trips ← billing ← bookings`. A
//! domain may call the public functions of those to its left, never the reverse, and never touches their
//! tables.
//!
//! Owns: the api's own database, its event log, and what organizations, vehicles, trips, invoices and
//! bookings are to a client. Does not own: telemetry and how trips are derived (the lake and
//! analytics, reached through [`lake_port`]), nor the console's source (`web/`, built in).
//!
//! Main path: [`trips::follow`] projects each version of the lake's `trips` table in one database
//! transaction with its events, mileage and invoice lines, exactly once; `billing/rating.rs` makes
//! the amounts; `billing/evidence.rs` proves a line again from the lake; `bookings/saga.rs` takes the
//! steps of a booking; `vehicles/geofences/watcher.rs` sees who comes and goes; `devices/enrol.rs` gives
//! units their certificates; `maintenance/inspector.rs` sees what comes due; `webhooks/deliver.rs`
//! tells other programs what happened; `drivers/driving.rs` says who drove; `alerts/evaluator.rs` asks the rules
//! of fleets about what is new. Requests: [`serve`] routes them, `manners.rs` limits their
//! time, `entry.rs` says who asks (`sign_in.rs` of who has signed in at a provider) and whether they may (by
//! `permissions.rs`), `extract.rs` reads them, a domain's `http.rs` answers, `error.rs` makes
//! problem details of what failed, and `audit.rs` keeps who changed what.
//!
//! Bounds: one writing connection and four reading ones (callers *block* up to 10 s, then 503);
//! bodies 1 MiB; answers 30 s; pages 200 items; SQL answers 10,000 rows; the follower takes 64
//! versions at a time; 2 keys are hashed at once and 4096 remembered; a key sends 100 requests a
//! second (`requests_per_second_max`, *shed* with 429), an address without one 20.

pub mod agents;
pub mod alerts;
mod app;
mod audit;
pub mod billing;
pub mod bookings;
pub mod ca_cli;
pub mod caller;
pub mod config;
mod console;
pub mod db;
pub mod demo;
pub mod devices;
pub mod drivers;
mod entry;
pub mod error;
pub mod events;
mod extract;
pub mod fault;
mod idempotency;
pub mod ids;
mod keyed;
pub mod lake_port;
pub mod maintenance;
mod manners;
mod metrics;
pub mod page;
mod permissions;
mod platform;
mod rate;
pub mod rebuild;
mod rows;
pub mod serve;
mod sign_in;
mod sql;
mod text;
mod ticks;
pub mod trips;
pub mod users;
pub mod vehicles;
pub mod webhooks;

pub use config::{Config, Settings};
pub use demo::seed_demo;
pub use rebuild::{Projection, rebuild};
pub use serve::{Handle, StartError, start};
