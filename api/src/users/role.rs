//! What a caller may do: six roles. `permissions.rs` says which route takes which.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A role, of a user or of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May do everything, and decides who may what.
    Owner,
    /// Runs the fleet from day to day.
    Dispatcher,
    /// Reads and queries.
    Analyst,
    /// Sees vehicles and trips.
    Driver,
    /// Tariffs and invoices.
    Billing,
    /// Registers vehicles.
    DeviceAdmin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Owner, Self::Dispatcher, Self::Analyst, Self::Driver, Self::Billing, Self::DeviceAdmin];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Dispatcher => "dispatcher",
            Self::Analyst => "analyst",
            Self::Driver => "driver",
            Self::Billing => "billing",
            Self::DeviceAdmin => "device_admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role; it is one of owner, dispatcher, analyst, driver, billing, device_admin")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| RoleError(text.to_owned()))
    }
}
