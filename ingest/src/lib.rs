//! MQTT in, lake out, exactly once.
//!
//! Owns: the embedded broker ([`broker`]), receiving ([`intake`]), trusting or quarantining
//! ([`verify`]), dropping what is stored already ([`dedupe`]), turning batches into rows
//! ([`rows`]), committing and acknowledging ([`commit`]) what its shards bring ([`share`]), keeping
//! the lake in order beside the writer ([`maintenance`]), the last known state of each vehicle
//! ([`last_state`]), backfill from files ([`import`]), and payloads of `quarantine` that may
//! be stored after all ([`replay`]).
//! It derives nothing from the rows; that is analytics.
//!
//! The way of a batch: [`intake`] takes a publish from the broker → [`verify::Verifier`] makes it a
//! `Verified` → [`commit::Committer`] buffers it, drops duplicates, writes one Delta commit a
//! table and hands out the durable acks → [`downlink`] keeps them until [`telling`] has published
//! them. Nothing is acknowledged before its commit.
//!
//! Bounds: `buffer_bytes_max` of payloads wait for a commit, `intake_queue_len_max` messages wait
//! before it; when both are full intake stops reading from the broker (*block*), and when the lake
//! takes nothing for long it leaves messages and tells vehicles to wait (*shed*, [`pressure`]). The
//! vehicles keep everything that is not acknowledged, so what is left, or dropped by a broker under
//! pressure, costs a resend.

pub mod broker;
pub mod commit;
pub mod config;
pub mod dedupe;
pub mod downlink;
pub mod import;
pub mod intake;
pub mod keys;
pub mod last_state;
pub mod maintenance;
pub mod metrics;
pub mod pipeline;
pub mod pressure;
pub mod replay;
pub mod rows;
pub mod share;
pub mod start;
pub mod telling;
pub mod verify;

pub use config::{Config, Settings};
pub use start::{Handle, StartError, start};
