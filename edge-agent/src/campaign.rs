//! Campaigns: what is collected beyond the default, decided away from the vehicle.
//!
//! A *set* (TOML or JSON, signed with Ed25519) comes by MQTT or as a file. [`desk`] accepts it
//! whole or refuses it whole with the reason; the last good one stays, over a restart too. An
//! accepted set is a [`Plan`]: [`set`] as written, [`plan`] compiled for this vehicle's signals,
//! with its conditions parsed by [`parse`] into [`expr`], checked for kinds and units and turned
//! into programs. `engine` runs it between the decoder and the batches.
//!
//! Bounds: bytes of a set, campaigns and signals in it, operations of a condition, bytes of the
//! ring of what came before, bytes a day.

mod budget;
mod check;
pub mod desk;
pub(crate) mod engine;
pub mod expr;
mod item;
pub mod parse;
pub mod plan;
mod program;
mod ring;
pub mod set;
#[cfg(test)]
mod tests;

use std::{io, path::PathBuf};

use wire::{campaigns::SetPayloadError, ids::VehicleId};

pub(crate) use budget::Spent;
pub use desk::Desk;
pub use engine::CampaignCounts;
pub use plan::{Bounds, Plan, PlanLine};
pub use set::CampaignSet;

/// Why a campaign set is refused.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// Not a payload of a set, not signed, or not by the configured key.
    #[error("the payload is refused")]
    Payload(#[from] SetPayloadError),
    /// By MQTT, without a key to check it by.
    #[error("sets by MQTT need a key to check them by; name one in `campaigns.public_key_file`")]
    NoKey,
    /// Not TOML or JSON, an unknown key, or a value of the wrong type.
    #[error("the set cannot be read: {message}")]
    Parse {
        /// What and where, from the reader.
        message: String,
    },
    /// For other vehicles.
    #[error("the set is not for vehicle {vehicle_id}; name it in `vehicles` or deliver the set elsewhere")]
    OtherVehicle {
        /// This vehicle.
        vehicle_id: VehicleId,
    },
    /// A signed set that is not newer than the one in force.
    #[error("revision {given} does not follow revision {in_force} in force; give a changed set a higher one")]
    Revision {
        /// The set's.
        given: u64,
        /// Of the set in force.
        in_force: u64,
    },
    /// What cannot be used, one line each.
    #[error("the set cannot be used:{}", .faults.iter().map(|f| format!("\n  {f}")).collect::<String>())]
    Faults {
        /// One for each fault.
        faults: Vec<String>,
    },
    /// The accepted set could not be kept for the next start.
    #[error("cannot keep the set in {path}")]
    Keep {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that could not be read.
    #[error("cannot read {path}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key that is none.
    #[error("{path} is no Ed25519 key; it must be 64 hexadecimal digits")]
    Key {
        /// Which file.
        path: PathBuf,
    },
}
