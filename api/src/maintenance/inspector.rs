//! The inspector: each beat, the vehicles that something happened to; every minute, all of them, as time makes work due
//! too. What it finds is worked out again in the transaction that notes it, so any number of processes may look.
//!
//! What it remembers (how far it has read the event log) begins anew with the process, at a look at everything: what
//! died half way was never committed, and is found again.

use std::collections::BTreeSet;

use service::{SharedClock, logs::chain};
use wire::time::Timestamp;

use super::{
    items, schedules, store,
    survey::{Scope, Survey},
    types::DueStatus,
};
use crate::{
    db::{Conn, Db},
    events::{self, Event},
    fault::DomainError,
    ids::{MaintenanceScheduleId, RegistryId},
    metrics,
    ticks::Ticks,
    vehicles,
};

/// From one look at everything to the next.
const WHOLE_LOOK_US: i64 = 60_000_000;
/// Events read at once.
const EVENTS_COUNT: i64 = 200;
/// Items of a transaction.
const ITEMS_COUNT: usize = 100;

/// A vehicle in a schedule, by their ids.
type Pair = (MaintenanceScheduleId, RegistryId);

/// The task's parts.
#[derive(Debug)]
pub struct Inspector {
    db: Db,
    clock: SharedClock,
    seen: Option<Seen>,
}

/// What has been looked at.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Up to which event.
    position: i64,
    /// When everything.
    whole_at: Timestamp,
}

impl Inspector {
    /// One that has seen nothing.
    pub fn new(db: Db, clock: SharedClock) -> Self {
        Self { db, clock, seen: None }
    }

    /// Looks until stopped; a failure is told and tried again at the next tick.
    pub(crate) async fn run(mut self, mut ticks: Ticks) {
        while ticks.next().await {
            if let Err(error) = self.look().await {
                tracing::warn!(error = %chain(&error), "maintenance not looked at, will try again");
            }
        }
    }

    /// One look; returns how many steps were taken.
    pub async fn look(&mut self) -> Result<usize, DomainError> {
        let now = Timestamp(self.clock.now_us());
        let (due, seen) = {
            let mut conn = self.db.read().await?;
            match self.seen.filter(|seen| now.since_us(seen.whole_at) < WHOLE_LOOK_US) {
                Some(seen) => since(&mut conn, now, seen).await?,
                None => whole(&mut conn, now).await?,
            }
        };
        let mut count = 0;
        for some in due.chunks(ITEMS_COUNT) {
            let mut tx = self.db.write().await?;
            for (schedule, vehicle) in some {
                count += items::advance(&mut tx, now, (schedule, vehicle)).await?;
            }
            tx.commit().await?;
        }
        // Only now: what failed is looked at again.
        self.seen = Some(seen);
        Ok(count)
    }
}

/// Looks at everything.
async fn whole(conn: &mut Conn, now: Timestamp) -> Result<(Vec<Pair>, Seen), DomainError> {
    // What happens from here on is looked at again, which does no harm.
    let position = events::last_position(conn).await?;
    let survey = Survey::take(conn, &Scope::default()).await?;
    let (mut due_soon, mut overdue) = (0, 0);
    for (schedule, vehicle, item) in survey.pairs() {
        match items::standing_of((schedule, vehicle), item, now).status {
            DueStatus::DueSoon => due_soon += 1,
            DueStatus::Overdue => overdue += 1,
            DueStatus::Ok | DueStatus::Unknown => {}
        }
    }
    metrics::maintenance_kept((due_soon, overdue), store::open_count(conn).await?);
    Ok((survey.steps(now), Seen { position, whole_at: now }))
}

/// Looks at the vehicles that something happened to since.
async fn since(conn: &mut Conn, now: Timestamp, seen: Seen) -> Result<(Vec<Pair>, Seen), DomainError> {
    let mut position = seen.position;
    let mut names = BTreeSet::new();
    loop {
        let some = events::after(conn, position, EVENTS_COUNT).await?;
        let Some(last) = some.last() else { break };
        position = last.position;
        // More of its vehicles than were looked at with the change itself may be due.
        if some.iter().any(|event| event.aggregate_type == schedules::AGGREGATE) {
            return whole(conn, now).await;
        }
        names.extend(some.iter().filter_map(vehicle_of));
    }
    let mut due = Vec::new();
    for name in names {
        let vehicle = match vehicles::get(conn, &name).await {
            Ok(vehicle) => vehicle,
            Err(DomainError::NotFound { .. }) => continue,
            Err(error) => return Err(error),
        };
        due.extend(Survey::take(conn, &Scope::of_vehicle(vehicle.id)).await?.steps(now));
    }
    Ok((due, Seen { position, ..seen }))
}

/// The vehicle whose odometer or organization an event may have changed.
fn vehicle_of(event: &Event) -> Option<String> {
    match event.aggregate_type.as_str() {
        "vehicle" => Some(event.aggregate_id.clone()),
        "trip" => Some(event.data.get("vehicle_id")?.as_str()?.to_owned()),
        _ => None,
    }
}
