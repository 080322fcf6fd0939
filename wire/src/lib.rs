//! The format in motion and the vocabulary of Roadlake.
//!
//! Owns: the ids, times and units every other crate speaks in, the pinned VSS catalogue, the
//! MQTT topics, and the bytes of batches, catalogues and acknowledgements. It does no I/O, knows
//! no async and builds for every target.
//!
//! The way of a sample: [`catalog`] says what a column id means, [`batch`] turns groups of
//! samples into bytes and back, [`signature`] proves who made them, [`topics`] says where they
//! go, [`ack`] says when the vehicle may forget them. [`command`] is what a vehicle is asked to
//! do, [`campaigns`] is how a signed campaign set travels, [`renewal`] what it signs to renew its certificate. [`readings`] names which VSS signals
//! make a row of the `readings` table; [`last_state`] is the newest of them for a live map.
//!
//! Bounds: see the constants of [`batch`]; a decoder never allocates more than a fixed multiple
//! of them, whatever the bytes.

pub mod ack;
pub mod batch;
pub mod campaigns;
pub mod catalog;
pub mod catalogue;
pub mod command;
mod delta;
mod fields;
pub mod ids;
pub mod last_state;
pub mod readings;
pub mod renewal;
pub mod signature;
pub mod time;
pub mod topics;
pub mod units;

/// Messages generated from `wire/proto`; the typed forms above are what callers use.
pub(crate) mod proto {
    #![allow(missing_docs, unreachable_pub, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/roadlake.v1.rs"));
}
