//! Trips, and the stops between them, out of readings: a pure function of one vehicle's readings
//! and a parameter set.
//!
//! *Owns* when a trip starts and ends, its figures, and what happened in it and in the stop after
//! it. *Does not own* ids, revisions or where readings come from (`reconcile` and `follow`).
//!
//! What people said of trips is part of it ([`Corrections`]).
//!
//! A vehicle's time is trips and the stops between them, by turns. [`derive()`] is the whole of it
//! for readings at hand; [`Deriver`] is the same state machine fed one reading at a time. What comes
//! after a trip's end depends on nothing before it but the few values in [`StopStart`], so a
//! derivation may be taken up again at the end of any finished trip ([`derive_after()`]): that makes
//! the incremental job exact.

mod consumption;
mod corrections;
mod derive;
mod distance;
mod event;
mod harsh;
mod idling;
mod levels;
mod motion;
mod parameters;
mod reading;
mod segment;
mod step;
mod stop;

#[cfg(test)]
mod tests;

pub use corrections::{Corrections, Said};
pub use derive::{Derivation, Deriver, EndedNow, OpenTrip, derive, derive_after};
pub use distance::{DistanceSource, EARTH_RADIUS_M, haversine_m};
pub use event::{DrivingEvent, EventKind, Severity};
pub use levels::StopStart;
pub use parameters::Parameters;
pub use reading::{Fix, Reading};
pub use segment::{DerivedTrip, EndReason};
pub use stop::{DerivedStop, StopEnd};

/// Raised whenever the same readings and parameters would make other trips, stops or events.
pub const ALGORITHM_VERSION: i64 = 2;
