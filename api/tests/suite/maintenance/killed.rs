//! Inspectors that are killed, that meet, and maintenance made anew from its events.

use std::sync::Arc;

use api::maintenance::inspector::Inspector;
use service::clock::ManualClock;

use super::{
    super::{
        booking_saga::stopped,
        follow::{killed_after, killed_at, open},
        rebuild::rows,
    },
    *,
};
use crate::place::Place;

/// Points at which an inspector is killed.
const KILLS: usize = 12;

/// The database of a server that has stopped, and time in the test's hand.
pub(super) struct Stage {
    place: Place,
    pub(super) db: api::db::Db,
    pub(super) clock: Arc<ManualClock>,
}

impl Stage {
    pub(super) async fn of(server: Server) -> Self {
        let clock = server.clock.clone();
        Self::at(stopped(server).await, clock).await
    }

    async fn at(place: Place, clock: Arc<ManualClock>) -> Self {
        let db = open(&place).await;
        Self { place, db, clock }
    }

    pub(super) fn inspector(&self) -> Inspector {
        Inspector::new(self.db.clone(), self.clock.clone())
    }

    pub(super) async fn said(&self) -> BTreeMap<String, usize> {
        let mut conn = self.db.read().await.unwrap();
        let events = api::events::after(&mut conn, 0, 10_000).await.unwrap();
        counts(events.into_iter().map(|event| event.event_type))
    }
}

/// A stopped server's database: three vehicles with two schedules, of which one comes due while nobody looks.
async fn prepared() -> (Place, Arc<ManualClock>) {
    let (server, organization) = fleet().await;
    for vehicle in ["car-2", "car-3"] {
        server
            .posted("/v1/vehicles", json!({ "vehicle_id": vehicle, "organization_id": organization }))
            .await;
    }
    server.posted(SCHEDULES, plan(&organization, "Brakes", json!({ "every_days": 10 }))).await;
    server
        .posted(SCHEDULES, plan(&organization, "Tyres", json!({ "every_days": 100, "every_km": 90_000 })))
        .await;
    let clock = server.clock.clone();
    let place = stopped(server).await;
    clock.advance(20 * DAY);
    (place, clock)
}

#[tokio::test]
async fn killed_at_any_await_what_is_due_is_said_and_ordered_once() {
    let (clean, clock) = prepared().await;
    let now_us = service::clock::Clock::now_us(clock.as_ref());
    killed_at(KILLS, async |polls| {
        let stage = Stage::at(clean.copy().await, ManualClock::at(now_us)).await;
        let mut inspector = stage.inspector();
        let cut = killed_after(polls, inspector.look()).await;
        let Stage { place, db, clock } = stage;
        db.close().await;

        let stage = Stage::at(place, clock).await;
        let mut inspector = stage.inspector();
        while inspector.look().await.unwrap() > 0 {}
        let told = stage.said().await;
        let once = [("MaintenanceOverdue", 3), ("WorkOrderOpened", 3), ("MaintenanceBegun", 6)];
        for (event_type, count) in once {
            assert_eq!(
                told.get(event_type),
                Some(&count),
                "{event_type}, killed after {polls} polls: {told:?}"
            );
        }
        assert_eq!(told.get("MaintenanceDueSoon"), None, "it is overdue");
        stage.db.close().await;
        cut
    })
    .await;
}

#[tokio::test]
async fn of_two_inspectors_one_says_it() {
    let (place, clock) = prepared().await;
    let other = open(&place).await;
    let stage = Stage::at(place, clock).await;
    let (mut one, mut two) = (stage.inspector(), Inspector::new(other.clone(), stage.clock.clone()));
    let (first, second) = tokio::join!(one.look(), two.look());
    assert_eq!(first.unwrap() + second.unwrap(), 3);
    assert_eq!(stage.said().await.get("WorkOrderOpened"), Some(&3));
    let before = rows(&stage.place).await;
    api::rebuild(&stage.db, &[api::Projection::Maintenance]).await.unwrap();
    assert_eq!(rows(&stage.place).await, before);
    other.close().await;
}
