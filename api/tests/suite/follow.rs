//! The follower, cut off at every point, ends with what an undisturbed one ends with.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use api::{
    billing::Billing,
    db::{Conn, Db},
    events::Event,
    fault::DomainError,
    trips::{Registration, TripObserver, follow::Follower, types::Trip},
};
use async_trait::async_trait;
use service::clock::ManualClock;
use wire::time::Timestamp;

use super::Server;
use crate::{
    fake_lake::{FakeLake, revised, trip, withdrawn},
    place::Place,
};

/// Points at which a follower is killed.
const KILLS: usize = 40;

/// Billing that fails once, at its n-th trip.
#[derive(Debug)]
struct FailsAt {
    inner: Billing,
    countdown: AtomicUsize,
}

#[async_trait]
impl TripObserver for FailsAt {
    async fn trip_changed(&self, conn: &mut Conn, now: Timestamp, trip: &Trip) -> Result<(), DomainError> {
        self.inner.trip_changed(conn, now, trip).await?;
        if self.countdown.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Err(DomainError::Conflict("cut off".to_owned()));
        }
        Ok(())
    }

    async fn settle(&self, conn: &mut Conn, now: Timestamp) -> Result<(), DomainError> {
        self.inner.settle(conn, now).await
    }
}

fn fill(lake: &FakeLake) {
    let at = |day: i64| format!("2026-11-{day:02}T08:00:00Z");
    let rows: Vec<_> = (1..=4)
        .map(|i| trip(&format!("{i}"), &format!("car-{}", i % 2), &at(i), (1_000 * i, 600, 0)))
        .collect();
    lake.commit(vec![rows[0].clone(), rows[1].clone()]);
    lake.commit(Vec::new());
    lake.commit(vec![rows[2].clone(), revised(&rows[0], 1_500), rows[3].clone()]);
    lake.commit(vec![withdrawn(&rows[1])]);
}

pub(super) async fn open(place: &Place) -> Db {
    Db::open(place.location.clone()).await.unwrap()
}

pub(super) fn follower(db: &Db, lake: &Arc<FakeLake>, observer: Arc<dyn TripObserver>) -> Follower {
    Follower {
        db: db.clone(),
        lake: lake.clone(),
        observer,
        registration: Registration::Automatic,
        clock: ManualClock::at(1_795_000_000_000_000),
    }
}

/// What the log says happened, without ids and times.
async fn story(db: &Db) -> BTreeMap<String, Vec<String>> {
    let mut conn = db.read().await.unwrap();
    let events: Vec<Event> = api::events::after(&mut conn, 0, 10_000).await.unwrap();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.position, i64::try_from(index).unwrap() + 1, "no holes");
    }
    let mut story: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let told = match event.event_type.as_str() {
            "InvoiceLinesChanged" => {
                let lines = event.data["added"].as_array().unwrap().iter();
                let added: Vec<_> =
                    lines.map(|l| format!("{}:{}", l["trip_id"], l["amount_minor"])).collect();
                format!("+{added:?} -{}", event.data["superseded"].as_array().unwrap().len())
            }
            "TripCompleted" | "TripRevised" | "TripWithdrawn" => format!("{}", event.data["distance_m"]),
            _ => String::new(),
        };
        let whose = if event.aggregate_type == "trip" { event.aggregate_id } else { event.aggregate_type };
        story.entry(whose).or_default().push(format!("{} v{} {told}", event.event_type, event.version));
    }
    story
}

/// A database with a customer whose vehicles are car-0 and car-1, and nothing followed.
async fn prepared() -> Place {
    let server = Server::start().await;
    let id = server.customer("car-1").await;
    server.post("/v1/vehicles", serde_json::json!({ "vehicle_id": "car-0", "organization_id": id })).await;
    server.tasks.stop(std::time::Duration::from_secs(10)).await.unwrap();
    server.handle.close().await;
    server.place
}

#[tokio::test]
async fn a_failure_at_any_trip_leaves_nothing_half_done() {
    let clean = prepared().await;
    let expected = undisturbed(&clean).await;
    for fail_at in 0..6 {
        let place = clean.copy().await;
        let lake = Arc::new(FakeLake::default());
        fill(&lake);
        let db = open(&place).await;
        let observer = Arc::new(FailsAt { inner: Billing, countdown: AtomicUsize::new(fail_at) });
        let follower = follower(&db, &lake, observer);
        assert!(follower.step().await.is_err(), "cut off at trip {fail_at}");
        while follower.step().await.unwrap() > 0 {}
        assert_eq!(story(&db).await, expected, "cut off at trip {fail_at}");
        db.close().await;
    }
}

async fn undisturbed(clean: &Place) -> BTreeMap<String, Vec<String>> {
    let place = clean.copy().await;
    let lake = Arc::new(FakeLake::default());
    fill(&lake);
    let db = open(&place).await;
    let follower = follower(&db, &lake, Arc::new(Billing));
    while follower.step().await.unwrap() > 0 {}
    let told = story(&db).await;
    assert_eq!(told["trp_1"], ["TripCompleted v1 1000", "TripRevised v2 1500"]);
    assert_eq!(told["trp_2"], ["TripCompleted v1 2000", "TripWithdrawn v2 2000"]);
    assert_eq!(
        told["invoice"].len(),
        7,
        "opened, four trips, a revision, a withdrawal: {:?}",
        told["invoice"]
    );
    db.close().await;
    told
}

/// Polls a future so many times at most, then drops it: what a kill at that point leaves. Whether
/// it came to its end, and after how many polls.
pub(super) async fn killed_after<F: Future>(polls: usize, future: F) -> (bool, usize) {
    let mut future = pin!(future);
    let mut done = 0;
    std::future::poll_fn(move |context| {
        if done == polls {
            return Poll::Ready((false, done));
        }
        done += 1;
        future.as_mut().poll(context).map(|_| (true, done))
    })
    .await
}

/// Acts a story out whole, then so many times with a kill after some number of polls, spread over all
/// of it. `act` gets the polls, and says whether the story came to its end and after how many.
///
/// How often a future is polled depends on how busy the machine is, so no run says how many points there
/// are: the shortest that came to its end so far bounds where the next kills are tried.
pub(super) async fn killed_at(kills: usize, mut act: impl AsyncFnMut(usize) -> (bool, usize)) {
    let (finished, mut shortest) = act(usize::MAX).await;
    assert!(finished);
    let (mut done, mut tried) = (0, 0);
    while done < kills {
        assert!(tried < 4 * kills, "only {done} of {tried} tries were cut off, of {shortest} polls");
        // The golden ratio's multiples fill the interval evenly, however many are taken.
        let part_ppm = (500_000 + tried * 618_034) % 1_000_000;
        tried += 1;
        let polls = 1 + part_ppm * (shortest.max(2) - 1) / 1_000_000;
        match act(polls).await {
            (true, polls) => shortest = shortest.min(polls),
            (false, _) => done += 1,
        }
    }
}

#[tokio::test]
async fn killed_at_any_await_and_opened_again_it_goes_on_exactly_once() {
    let clean = prepared().await;
    let expected = undisturbed(&clean).await;
    // Each is a database of its own, with its writes to the disk: some dozens, spread over all.
    killed_at(KILLS, async |polls| {
        let place = clean.copy().await;
        let lake = Arc::new(FakeLake::default());
        fill(&lake);
        let db = open(&place).await;
        let cut = killed_after(polls, follower(&db, &lake, Arc::new(Billing)).step()).await;
        db.close().await;

        let db = open(&place).await;
        let again = follower(&db, &lake, Arc::new(Billing));
        while again.step().await.unwrap() > 0 {}
        assert_eq!(story(&db).await, expected, "killed after {polls} polls");
        db.close().await;
        cut
    })
    .await;
}

#[tokio::test]
async fn a_second_follower_on_the_same_database_changes_nothing_twice() {
    let clean = prepared().await;
    let expected = undisturbed(&clean).await;
    let place = clean.copy().await;
    let lake = Arc::new(FakeLake::default());
    fill(&lake);
    let (one_db, two_db) = (open(&place).await, open(&place).await);
    let (one, two) =
        (follower(&one_db, &lake, Arc::new(Billing)), follower(&two_db, &lake, Arc::new(Billing)));
    // One of them loses each race, and leaves that version to the other.
    let (first, second) = tokio::join!(one.step(), two.step());
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    while one.step().await.unwrap() > 0 {}
    assert_eq!(two.step().await.unwrap(), 0);
    assert_eq!(story(&one_db).await, expected);
}
