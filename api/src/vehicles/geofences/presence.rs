//! A vehicle that comes into a geofence or goes out of it: noted once, with its event.
//!
//! Several processes may find the same crossing, and one may know less than another: what is stored decides. A
//! crossing that is there is not noted again, nor one by a reading older than the last crossing, nor one of a
//! geofence that has changed meanwhile.

use serde::{Deserialize, Serialize};
use wire::{ids::VehicleId, time::Timestamp};

use super::{store, types::Geofence};
use crate::{
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::DomainError,
    ids::GeofenceId,
    metrics,
};

/// The kind of aggregate that a geofence and a vehicle together are in the event log.
pub(super) const AGGREGATE: &str = "geofence-presence";
const ENTERED: &str = "GeofenceEntered";
const EXITED: &str = "GeofenceExited";

/// What is known of a vehicle and a geofence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Presence {
    pub(super) is_inside: bool,
    /// When it came in last.
    pub(super) entered_at: Timestamp,
    /// When it last came in or went out.
    pub(super) crossed_at: Timestamp,
    pub(super) version: i64,
}

/// Which way, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    In,
    /// It went.
    Left,
    /// The vehicle is another organization's now, or nobody's.
    Reassigned,
}

/// A crossing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crossing {
    pub(super) geofence_id: GeofenceId,
    /// The version of the geofence that it was found with.
    pub(super) geofence_version: i64,
    pub(super) vehicle_id: VehicleId,
    pub(super) way: Way,
    /// The first reading on the new side, by the vehicle's clock.
    pub(super) ts: Timestamp,
}

impl Crossing {
    fn is_in(&self) -> bool {
        self.way == Way::In
    }

    /// The geofence and what is known, if there is something to note.
    async fn due(&self, conn: &mut Conn) -> Result<Option<(Geofence, Option<Presence>)>, DomainError> {
        let geofence = store::by_id(conn, &self.geofence_id).await?;
        let Some(geofence) = geofence.filter(|g| g.version == self.geofence_version) else { return Ok(None) };
        let before = store::presence(conn, (&self.geofence_id, &self.vehicle_id)).await?;
        let is_due = match before {
            Some(before) => before.is_inside != self.is_in() && self.ts >= before.crossed_at,
            None => self.is_in(),
        };
        Ok(is_due.then_some((geofence, before)))
    }

    /// Whether there is something to note.
    pub(super) async fn is_due(&self, conn: &mut Conn) -> Result<bool, DomainError> {
        Ok(self.due(conn).await?.is_some())
    }

    /// Notes it, if it is still to be.
    pub(super) async fn note(&self, conn: &mut Conn, now: Timestamp) -> Result<(), DomainError> {
        let Some((geofence, before)) = self.due(conn).await? else { return Ok(()) };
        let version = before.map_or(0, |before| before.version);
        let entered_at = before.filter(|_| !self.is_in()).map_or(self.ts, |before| before.entered_at);
        let told = Told {
            geofence_id: self.geofence_id.clone(),
            geofence: geofence.name,
            kind: geofence.kind.to_string(),
            organization_id: geofence.organization_id.map(String::from),
            vehicle_id: self.vehicle_id.clone(),
            ts: self.ts,
            visit: (!self.is_in()).then(|| Visit {
                entered_at,
                duration_s: seconds(self.ts.since_us(entered_at)),
                reason: self.way,
            }),
        };
        let event = NewEvent {
            aggregate_type: AGGREGATE,
            aggregate_id: format!("{}:{}", self.geofence_id, self.vehicle_id),
            event_type: if self.is_in() { ENTERED } else { EXITED },
            data: json_of(&told),
        };
        let version = events::append(conn, now, version, event).await?;
        metrics::geofence_crossed(if self.is_in() { "entered" } else { "exited" });
        told.keep(conn, version).await
    }
}

/// What an event tells, in the words of SQL's `geofence_events`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    geofence_id: GeofenceId,
    /// Its name then.
    geofence: String,
    kind: String,
    organization_id: Option<String>,
    vehicle_id: VehicleId,
    ts: Timestamp,
    #[serde(flatten)]
    visit: Option<Visit>,
}

/// What an exit tells beside.
#[derive(Debug, Serialize, Deserialize)]
struct Visit {
    entered_at: Timestamp,
    duration_s: i64,
    reason: Way,
}

impl Told {
    /// Makes its row.
    pub(super) async fn keep(&self, conn: &mut Conn, version: i64) -> Result<(), DomainError> {
        let presence = Presence {
            is_inside: self.visit.is_none(),
            entered_at: self.visit.as_ref().map_or(self.ts, |visit| visit.entered_at),
            crossed_at: self.ts,
            version,
        };
        store::set_presence(conn, (&self.geofence_id, &self.vehicle_id), &presence).await
    }
}

fn seconds(us: i64) -> i64 {
    us.div_euclid(1_000_000)
}
