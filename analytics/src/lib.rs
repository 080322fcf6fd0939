//! Lake tables and SQL functions, trips; the SQL door.
//!
//! Owns: what a trip, a stop and a driving event is ([`trips`]), the job that derives them from new
//! readings and writes their revisions ([`follow`]), the read-only SQL door and the handle others ask ([`engine`]),
//! the same for Postgres' clients ([`postgres`]), those of Arrow Flight SQL ([`flight`]) and for a shell ([`sql_cli`]), rules that are asked of new data and of history ([`rules`]), trips as files ([`tracks`]), last known states before they are in the lake ([`live`]), and the rows handed out ([`row`]). It does not own table
//! schemas or commits (lake), domain events or invoices (api).
//!
//! The main path: `follow` sees a new version of `readings`, `touched` says whose data it holds,
//! `plan` from where each vehicle is derived again, `trips` derives, `reconcile` compares with
//! what is stored and numbers the revisions, `trip_table`, `stop_table` and `event_table` make the rows
//! of its commits (`columns` is what they share).
//!
//! Bounds: queries at once, their memory, time and rows ([`engine::Limits`]); versions a pass;
//! one state a vehicle in memory. A full queue of queries blocks, then refuses.

mod columns;
mod config;
mod correct;
mod correction_table;
pub mod doors;
pub mod engine;
mod event_table;
mod fleet;
pub mod flight;
pub mod follow;
pub mod live;
mod metrics;
pub mod postgres;
mod readings;
mod reconcile;
pub mod row;
pub mod rules;
pub mod sql_cli;
mod stop_table;
#[cfg(test)]
mod testing;
pub mod tracks;
mod trip_table;
pub mod trips;

pub use config::{Config, Settings};
pub use engine::{Analytics, SqlError, SqlErrorKind};
pub use follow::{Handle, StartError, start, watch_fleet};
// For the api, which says where the lake is and does not know the crate.
pub use lake::{LakeLocation, LakeSettings, S3Config, Whose};
