//! The watch over geofences: each beat, what changed in the fleet; every few beats, all of it.
//!
//! It sees the last known place of each vehicle, so who drives through between two of them is not seen here; SQL's
//! `geofence_events` sees every reading. What it has noted is in the database; what it waits for (a vehicle that is
//! outside, but not yet for a minute) is in memory, and begins anew when the process does.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use analytics::{row::VehicleState, trips::Fix};
use rstar::{
    AABB, RTree,
    primitives::{GeomWithData, Rectangle},
};
use service::{SharedClock, clock::micros, logs::chain};
use tokio_util::sync::CancellationToken;
use wire::{ids::VehicleId, time::Timestamp};

use super::{
    place_of,
    presence::{Crossing, Way},
    shape::Shape,
    store,
};
use crate::{
    db::{Conn, Db},
    fault::DomainError,
    ids::{GeofenceId, OrganizationId},
    lake_port::LakeReader,
    ticks::Ticks,
    vehicles::store as registry,
};

/// Beats from one look at everything to the next: silence is a change too, and other processes change geofences.
const WHOLE_LOOK_BEATS: u64 = 5;
/// Who is outside for less has not left: a receiver near the border. As in SQL's `geofence_visits`.
const ABSENCE_MIN_US: i64 = 60_000_000;
/// Crossings of a transaction.
const CROSSINGS_MAX: usize = 100;
/// Vehicles looked at before others have a turn.
const VEHICLES_A_TURN: usize = 100;

/// The task's parts.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) db: Db,
    pub(crate) lake: Arc<dyn LakeReader>,
    pub(crate) clock: SharedClock,
    /// Who is silent for so long, having been outside, has left.
    pub(crate) offline_after: Duration,
}

impl Watcher {
    /// Runs until stopped; a failure is told and tried again at the next beat.
    pub(crate) async fn run(self, interval: Duration, stop: CancellationToken) {
        let mut ticks = Ticks::every(interval, stop);
        let mut known = Known::default();
        while ticks.next().await {
            if let Err(error) = self.look(&mut known).await {
                tracing::warn!(error = %chain(&error), "geofences not watched, will try again");
                known.beat = 0;
            }
        }
    }

    async fn look(&self, known: &mut Known) -> Result<(), DomainError> {
        let is_whole = known.beat.is_multiple_of(WHOLE_LOOK_BEATS);
        known.beat = known.beat.wrapping_add(1);
        if is_whole {
            let mut conn = self.db.read().await?;
            known.read(&mut conn).await?;
        }
        if known.fences.by_id.is_empty() {
            return Ok(());
        }
        let states = if is_whole {
            known.change = self.lake.fleet_since(u64::MAX).1;
            self.lake.fleet()
        } else {
            let (states, newest) = self.lake.fleet_since(known.change);
            known.change = newest;
            states
        };
        let mut crossings = Vec::new();
        for some in states.chunks(VEHICLES_A_TURN) {
            let now = Timestamp(self.clock.now_us());
            crossings.extend(some.iter().flat_map(|state| known.crossings(state, (now, self.offline_after))));
            tokio::task::yield_now().await;
        }
        for some in crossings.chunks(CROSSINGS_MAX) {
            self.note(some).await?;
            known.took(some);
        }
        Ok(())
    }

    async fn note(&self, crossings: &[Crossing]) -> Result<(), DomainError> {
        let mut due = Vec::new();
        {
            let mut conn = self.db.read().await?;
            for crossing in crossings {
                if crossing.is_due(&mut conn).await? {
                    due.push(crossing);
                }
            }
        }
        // Only then: who knows less than another process writes nothing.
        if due.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.write().await?;
        for crossing in due {
            crossing.note(&mut tx, Timestamp(self.clock.now_us())).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// A geofence as it is watched.
#[derive(Debug)]
struct Fence {
    organization_id: Option<OrganizationId>,
    version: i64,
    shape: Shape,
}

impl Fence {
    fn watches(&self, own: Option<&OrganizationId>) -> bool {
        self.organization_id.is_none() || self.organization_id.as_ref() == own
    }
}

/// All of them, found by place.
#[derive(Debug, Default)]
struct Fences {
    by_id: HashMap<GeofenceId, Fence>,
    boxes: RTree<GeomWithData<Rectangle<[f64; 2]>, GeofenceId>>,
}

impl Fences {
    fn at(&self, place: Fix) -> impl Iterator<Item = (&GeofenceId, &Fence)> {
        let point = AABB::from_point([place.longitude, place.latitude]);
        let near = self.boxes.locate_in_envelope_intersecting(&point);
        near.filter_map(|found| self.by_id.get_key_value(&found.data))
            .filter(move |(_, fence)| fence.shape.includes(place))
    }

    /// Takes those in that are new or changed, and drops those that are gone.
    async fn read(&mut self, conn: &mut Conn) -> Result<(), DomainError> {
        let versions = store::versions(conn).await?;
        let before = self.by_id.len();
        self.by_id.retain(|id, fence| versions.get(id) == Some(&fence.version));
        let mut has_changed = self.by_id.len() != before;
        for id in versions.keys() {
            if self.by_id.contains_key(id) {
                continue;
            }
            let Some(geofence) = store::by_id(conn, id).await? else { continue };
            let fence = Fence {
                shape: Shape::of(&geofence.geometry),
                organization_id: geofence.organization_id,
                version: geofence.version,
            };
            self.by_id.insert(geofence.id, fence);
            has_changed = true;
        }
        if has_changed {
            let boxes = self.by_id.iter().map(|(id, fence)| {
                let (low, high) = fence.shape.bounds();
                GeomWithData::new(Rectangle::from_corners(low, high), id.clone())
            });
            self.boxes = RTree::bulk_load(boxes.collect());
        }
        Ok(())
    }
}

/// What the watcher goes by.
#[derive(Debug, Default)]
struct Known {
    beat: u64,
    /// The change of the fleet that was looked at last.
    change: u64,
    fences: Fences,
    organizations: HashMap<VehicleId, OrganizationId>,
    /// Where each vehicle is noted to be.
    inside: HashMap<VehicleId, BTreeSet<GeofenceId>>,
    /// Since which reading who is noted to be inside is outside.
    outside_since: HashMap<(VehicleId, GeofenceId), Timestamp>,
}

impl Known {
    async fn read(&mut self, conn: &mut Conn) -> Result<(), DomainError> {
        self.fences.read(conn).await?;
        self.inside.clear();
        self.organizations.clear();
        if !self.fences.by_id.is_empty() {
            self.organizations = registry::organizations(conn).await?;
            for (vehicle_id, geofence_id) in store::all_inside(conn).await? {
                self.inside.entry(vehicle_id).or_default().insert(geofence_id);
            }
        }
        let inside = &self.inside;
        self.outside_since
            .retain(|(vehicle, fence), _| inside.get(vehicle).is_some_and(|i| i.contains(fence)));
        Ok(())
    }

    /// What a vehicle has crossed, if anything.
    fn crossings(
        &mut self,
        state: &VehicleState,
        (now, offline_after): (Timestamp, Duration),
    ) -> Vec<Crossing> {
        let Some(place) = place_of(state) else { return Vec::new() };
        let vehicle_id = &state.vehicle_id;
        let own = self.organizations.get(vehicle_id);
        let noted = self.inside.get(vehicle_id);
        let crossing = |id: &GeofenceId, fence: &Fence, (way, ts): (Way, Timestamp)| Crossing {
            geofence_id: id.clone(),
            geofence_version: fence.version,
            vehicle_id: vehicle_id.clone(),
            way,
            ts,
        };
        let mut found = Vec::new();
        let mut at = BTreeSet::new();
        for (id, fence) in self.fences.at(place).filter(|(_, fence)| fence.watches(own)) {
            at.insert(id);
            self.outside_since.remove(&(vehicle_id.clone(), id.clone()));
            if !noted.is_some_and(|noted| noted.contains(id)) {
                found.push(crossing(id, fence, (Way::In, state.ts)));
            }
        }
        for id in noted.into_iter().flatten().filter(|id| !at.contains(id)) {
            // Of one that is deleted nothing is known any more.
            let Some(fence) = self.fences.by_id.get(id) else { continue };
            if !fence.watches(own) {
                found.push(crossing(id, fence, (Way::Reassigned, now)));
                continue;
            }
            let since = *self.outside_since.entry((vehicle_id.clone(), id.clone())).or_insert(state.ts);
            let is_silent = now.since_us(state.received_at) > micros(offline_after);
            if is_silent || state.ts.since_us(since) >= ABSENCE_MIN_US {
                found.push(crossing(id, fence, (Way::Left, since)));
            }
        }
        found
    }

    /// What was noted, or found to be noted.
    fn took(&mut self, crossings: &[Crossing]) {
        for crossing in crossings {
            let noted = self.inside.entry(crossing.vehicle_id.clone()).or_default();
            if crossing.way == Way::In {
                noted.insert(crossing.geofence_id.clone());
            } else {
                noted.remove(&crossing.geofence_id);
                self.outside_since.remove(&(crossing.vehicle_id.clone(), crossing.geofence_id.clone()));
            }
        }
    }
}
