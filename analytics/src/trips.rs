//! Trips out of readings: a pure function of one vehicle's readings and a parameter set.
//!
//! *Owns* when a trip starts and ends, and its figures. *Does not own* ids, revisions or where
//! readings come from (`reconcile` and `follow`).
//!
//! [`derive()`] is the whole of it for readings at hand; [`Deriver`] is the same state machine fed
//! one reading at a time. What comes after a trip's end depends on nothing before it, so a
//! derivation may be taken up again at the end of any finished trip: that makes the incremental
//! job exact.

mod consumption;
mod derive;
mod distance;
mod motion;
mod parameters;
mod reading;
mod segment;

#[cfg(test)]
mod tests;

pub use derive::{Derivation, Deriver, OpenTrip, derive};
pub use distance::{DistanceSource, EARTH_RADIUS_M, haversine_m};
pub use parameters::Parameters;
pub use reading::{Fix, Reading};
pub use segment::{DerivedTrip, EndReason};

/// Raised whenever the same readings and parameters would make other trips.
pub const ALGORITHM_VERSION: i64 = 1;
