//! From where and to where a touched vehicle is derived again. A pure function.
//!
//! After a trip's end the derivation knows nothing of what was before (`trips`), so it is exact
//! to begin at the end of a stored trip that the new data cannot have changed; and when it finds
//! the stored trip that follows the new data again, all after it stands.

use service::clock::micros;
use wire::time::Timestamp;

use super::touched::Touch;
use crate::{
    row::{TripRow, TripStatus},
    trips::{Corrections, DerivedTrip, Parameters},
};

/// What to read for a vehicle.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// First reading.
    pub(super) from: Timestamp,
    /// The trip it begins after; `None` where no stored trip is settled.
    pub(super) after: Option<String>,
    /// Set when the derivation begins after a trip that ended in quiet: a first reading before
    /// this shows that it did not, and the plan is void.
    pub(super) quiet_until: Option<Timestamp>,
    /// Stored trips from here on are judged.
    pub(super) judge_from: Timestamp,
    /// The stored trip to find again, and up to which reading to look for it.
    pub(super) rejoin: Option<Rejoin>,
}

/// Where a derivation may meet what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rejoin {
    /// Start of the stored trip.
    pub(super) start_time: Timestamp,
    /// Its end.
    pub(super) end_time: Timestamp,
    /// Its end is settled by readings up to here.
    pub(super) read_until: Timestamp,
}

impl Rejoin {
    /// Whether a derived trip is the stored one.
    pub(super) fn is(&self, trip: &DerivedTrip) -> bool {
        trip.start_time == self.start_time && trip.end_time == self.end_time
    }
}

/// Whether a trip ended by silence may be begun after: it may be under way again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// Until its quiet proves broken.
    Trusted,
    /// No.
    Doubted,
}

/// The plan for a vehicle with `stored` trips (latest revisions, any order).
pub(super) fn plan(
    (touch, stored, corrections): (&Touch, &[TripRow], &Corrections),
    parameters: &Parameters,
    lookback_us: i64,
    silence: Silence,
) -> Plan {
    let settle_us = parameters.settle_us();
    let current = || stored.iter().filter(|row| row.status == TripStatus::Completed);
    let next_start = |end: Timestamp| {
        let later = current().map(|row| row.start_time).filter(|start| *start >= end);
        later.min().unwrap_or(Timestamp(i64::MAX))
    };
    let settled = current()
        .filter(|row| silence == Silence::Trusted || row.end_reason != "silence")
        .filter(|row| row.end_time.plus_us(settle_us) <= touch.from)
        // One that people joined to the next is derived with it.
        .filter(|row| !corrections.joins(row.end_time, next_start(row.end_time)))
        .max_by_key(|row| row.end_time);
    let (from, judge_from, quiet_until) = match settled {
        // The last reading of a trip cut by a gap is in motion: begin after it.
        Some(row) if row.end_reason == "gap" || row.end_reason == "silence" => {
            (row.end_time.plus_us(1), row.end_time, Some(row.end_time.plus_us(micros(parameters.gap))))
        }
        Some(row) => (row.end_time, row.end_time, None),
        None => {
            let from = touch.from.plus_us(-lookback_us);
            (from, from, None)
        }
    };
    let rejoin = current()
        .filter(|row| row.start_time > touch.to.plus_us(settle_us))
        .min_by_key(|row| row.start_time)
        .map(|row| Rejoin {
            start_time: row.start_time,
            end_time: row.end_time,
            read_until: row.end_time.plus_us(settle_us.saturating_mul(2)),
        });
    let after = settled.map(|row| row.trip_id.clone());
    Plan { from, after, quiet_until, judge_from, rejoin }
}
