//! Ids as types: no bare `String` or `u64` id crosses a function.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How many shards the fleet is divided into (design 3.1).
pub const SHARD_COUNT: u32 = 256;
/// Longest vehicle id, in bytes.
pub const VEHICLE_ID_LEN_MAX: usize = 64;

/// Why a text is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not 1 to 64 characters of `[a-z0-9-]`.
    #[error("vehicle id {0:?} must be 1 to 64 of a-z, 0-9 and '-'")]
    VehicleId(String),
    /// Not 16 bytes.
    #[error("{what} must be 16 bytes, not {len}")]
    Length {
        /// Which id.
        what: &'static str,
        /// Bytes given.
        len: usize,
    },
}

/// A vehicle: the common name of its client certificate and a level of its topics, so only
/// `[a-z0-9-]` (an id of `+` or `#` would widen an access rule of the broker).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VehicleId(String);

impl VehicleId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `crc32(vehicle_id) % 256`: which ingest instance owns the vehicle.
    pub fn shard(&self) -> u32 {
        crc32fast::hash(self.0.as_bytes()) % SHARD_COUNT
    }
}

impl FromStr for VehicleId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = (1..=VEHICLE_ID_LEN_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::VehicleId(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for VehicleId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<VehicleId> for String {
    fn from(id: VehicleId) -> Self {
        id.0
    }
}

impl fmt::Display for VehicleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! sixteen_bytes {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The 16 bytes as they travel.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Reads the 16 bytes as they travel.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                Uuid::from_slice(bytes)
                    .map(Self)
                    .map_err(|_| IdError::Length { what: $what, len: bytes.len() })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

sixteen_bytes!(
    /// One start of an agent.
    BootId, "boot id"
);
sixteen_bytes!(
    /// One log of batches on one vehicle; sequences rise by one within it, from 1.
    StreamId, "stream id"
);
sixteen_bytes!(
    /// The first 16 bytes of the SHA-256 of an encoded catalogue.
    CatalogHash, "catalogue hash"
);

impl StreamId {
    /// A stream whose content is a pure function of `source` (a recorded log and how it is
    /// read): a second replay makes the same stream, so ingest drops it as duplicate.
    pub fn of_source(vehicle_id: &VehicleId, source: &[u8]) -> Self {
        let mut name = vehicle_id.as_str().as_bytes().to_vec();
        name.push(0);
        name.extend_from_slice(source);
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, &name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_would_widen_a_topic_are_refused() {
        for bad in ["", "+", "#", "a/b", "A1", "é", &"x".repeat(65)] {
            assert!(bad.parse::<VehicleId>().is_err(), "{bad:?}");
        }
        let id: VehicleId = "car-3ba199e2".parse().unwrap();
        assert_eq!(id.shard(), crc32fast::hash(b"car-3ba199e2") % 256);
    }
}
