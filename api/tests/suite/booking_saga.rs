//! The saga of a booking, killed anywhere, ends confirmed with everything or given up with nothing;
//! any sequence of acts leaves no vehicle booked twice and the books whole.

use std::{sync::Arc, time::Duration};

use api::{
    Projection,
    billing::{wallet_types::Wallet, wallets},
    bookings::{
        self, acts, saga,
        types::{Booking, BookingQuery, BookingStatus, EndCode, Extension, NewBooking},
        worker::Worker,
    },
    caller::Caller,
    db::Db,
    fault::DomainError,
    ids::BookingId,
    users::notifications::InApp,
};
use proptest::prelude::*;
use service::clock::ManualClock;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};
use wire::time::Timestamp;

use super::{
    Server,
    bookings::{Fleet, fleet},
    follow::{killed_after, killed_at, open},
};
use crate::place::Place;

/// Points at which a booking is killed, spread over all; each is a database of its own.
const KILLS: usize = 30;
/// The same of what goes another way.
const KILLS_ELSEWHERE: usize = 12;
/// The start of the hours that are booked: an hour after the clock's.
const FROM_US: i64 = 1_795_438_800_000_000;
const HOUR_US: i64 = 3_600_000_000;
const NOW: Timestamp = Timestamp(FROM_US - HOUR_US);

/// Of car-1, from and to so many hours after the first.
fn wish(vehicle: &str, from: i64, to: i64) -> NewBooking {
    NewBooking {
        vehicle_id: Some(vehicle.to_owned()),
        from: Timestamp(FROM_US + from * HOUR_US).to_string(),
        to: Timestamp(FROM_US + to * HOUR_US).to_string(),
        ..NewBooking::default()
    }
}

/// A database with a customer, car-1 and credit, that nobody has open.
async fn prepared(credit_minor: i64) -> Place {
    let Fleet { server, .. } = fleet(credit_minor).await;
    stopped(server).await
}

pub(super) async fn stopped(server: Server) -> Place {
    server.tasks.stop(Duration::from_secs(10)).await.unwrap();
    server.handle.close().await;
    server.place
}

async fn begun(db: &Db, now: Timestamp, new: NewBooking) -> Result<BookingId, DomainError> {
    let mut tx = db.write().await?;
    let booking = bookings::begin(&mut tx, now, (&Caller::operator(), new)).await?;
    tx.commit().await?;
    Ok(booking.id)
}

pub(super) async fn booked(db: &Db, now: Timestamp, new: NewBooking) -> Result<Booking, DomainError> {
    let id = begun(db, now, new).await?;
    saga::run(db, now, &id).await
}

/// What another process does, so long after.
async fn worked(db: &Db, now: Timestamp) {
    // Who was killed may have a commit under way at the server: a writer's turn waits for it.
    db.write().await.unwrap().rollback().await.unwrap();
    let worker = Worker {
        db: db.clone(),
        notifier: Arc::new(InApp { db: db.clone() }),
        clock: ManualClock::at(now.0),
    };
    worker.look().await.unwrap();
    worker.look().await.unwrap();
}

async fn all(db: &Db) -> Vec<Booking> {
    let mut conn = db.read().await.unwrap();
    let query = BookingQuery { limit: Some(200), ..BookingQuery::default() };
    bookings::list(&mut conn, query).await.unwrap().data
}

pub(super) async fn only_wallet(db: &Db) -> Wallet {
    let mut conn = db.read().await.unwrap();
    wallets::list(&mut conn, &Default::default()).await.unwrap().data.remove(0)
}

/// The first column of the rows of a query, as texts.
async fn texts(place: &Place, sql: &str) -> Vec<String> {
    let mut conn = AnyConnection::connect(&place.url).await.unwrap();
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut conn).await.unwrap();
    let texts = rows.iter().map(|row| row.get::<String, _>(0)).collect();
    conn.close().await.unwrap();
    texts
}

/// Whether a booking has all it should, or nothing at all; returns which.
async fn clean(place: &Place, db: &Db, booking: &Booking) -> BookingStatus {
    let id = &booking.id;
    let plans = texts(place, &format!("SELECT data FROM planned_trips WHERE data LIKE '%{id}%'")).await;
    let told = texts(place, &format!("SELECT body FROM notification_outbox WHERE subject_id = '{id}'")).await;
    let delivered = texts(place, &format!("SELECT body FROM notifications WHERE subject_id = '{id}'")).await;
    let held = {
        let mut conn = db.read().await.unwrap();
        match &booking.hold_id {
            Some(hold) => Some(wallets::get_hold(&mut conn, hold).await.unwrap().status.as_str()),
            None => None,
        }
    };
    let has = (booking.is_credit_held, booking.is_vehicle_reserved, booking.is_trip_planned);
    match booking.status {
        BookingStatus::Confirmed => {
            assert_eq!((has, held), ((true, true, true), Some("held")), "{booking:?}");
            assert!(plans.len() == 1 && plans[0].contains("\"planned\""), "{plans:?}");
            assert_eq!((told.len(), delivered.len()), (1, 1));
        }
        BookingStatus::Failed | BookingStatus::Expired => {
            assert_eq!(has, (false, false, false), "{booking:?}");
            assert!(held.is_none_or(|status| status == "released"), "{held:?}");
            assert!(plans.iter().all(|plan| plan.contains("\"dropped\"")), "{plans:?}");
            let confirmed = usize::from(booking.confirmed_at.is_some());
            assert_eq!((told.len(), delivered.len()), (confirmed, confirmed));
        }
        status => panic!("{status:?} is neither: {booking:?}"),
    }
    booking.status
}

/// What a saga is killed in, and what it may end in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scenario {
    /// All goes well, and a worker goes on soon after.
    Granted,
    /// Another has the vehicle.
    Taken,
    /// Nobody goes on for longer than a booking may take.
    TooLate,
    /// What is killed is the worker that lets a confirmed booking expire.
    NotBegun,
}

/// Acts a scenario out with a kill after so many polls; whether it came so far, and how many polls there were.
async fn act_out(clean_place: &Place, scenario: Scenario, polls: usize) -> (bool, usize) {
    let place = clean_place.copy().await;
    let db = open(&place).await;
    let first = match scenario {
        Scenario::Taken | Scenario::NotBegun => Some(booked(&db, NOW, wish("car-1", 0, 1)).await.unwrap().id),
        Scenario::Granted | Scenario::TooLate => None,
    };
    let later = |seconds: i64| NOW.plus_us(seconds * 1_000_000);
    let outcome = if scenario == Scenario::NotBegun {
        let due = saga::run(&db, later(2 * 3_600), first.as_ref().unwrap());
        killed_after(polls, due).await
    } else {
        killed_after(polls, booked(&db, NOW, wish("car-1", 0, 1))).await
    };
    db.close().await;

    let db = open(&place).await;
    let again = match scenario {
        Scenario::Granted | Scenario::Taken => later(6),
        Scenario::TooLate => later(16 * 60),
        Scenario::NotBegun => later(2 * 3_600 + 6),
    };
    worked(&db, again).await;
    let mut expected_held = 0;
    for booking in all(&db).await {
        let status = clean(&place, &db, &booking).await;
        expected_held += if status == BookingStatus::Confirmed { booking.price.total_minor } else { 0 };
        let is_first = first.as_ref() == Some(&booking.id);
        let wanted: &[BookingStatus] = match scenario {
            Scenario::Granted => &[BookingStatus::Confirmed],
            Scenario::Taken if is_first => &[BookingStatus::Confirmed],
            Scenario::Taken => &[BookingStatus::Failed],
            // The whole of it may have been done before the kill.
            Scenario::TooLate => &[BookingStatus::Expired, BookingStatus::Confirmed],
            Scenario::NotBegun => &[BookingStatus::Expired],
        };
        assert!(wanted.contains(&status), "{scenario:?} after {polls} polls: {booking:?}");
    }
    let wallet = only_wallet(&db).await;
    assert_eq!(wallet.held_minor, expected_held, "{scenario:?} after {polls} polls");
    assert_eq!(wallet.balance_minor, 10_000);
    let events = texts(
        &place,
        "SELECT aggregate_id || '/' || event_type FROM events WHERE aggregate_type = 'booking'",
    );
    let events = events.await;
    let mut once = events.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), events.len(), "each step once: {events:?}");
    db.close().await;
    outcome
}

async fn killed_everywhere(scenario: Scenario, kills: usize) {
    let place = prepared(10_000).await;
    killed_at(kills, async |polls| act_out(&place, scenario, polls).await).await;
}

#[tokio::test]
async fn killed_anywhere_a_booking_that_can_be_had_is_confirmed_once() {
    killed_everywhere(Scenario::Granted, KILLS).await;
}

#[tokio::test]
async fn killed_anywhere_a_booking_that_cannot_be_had_holds_nothing() {
    killed_everywhere(Scenario::Taken, KILLS_ELSEWHERE).await;
}

#[tokio::test]
async fn killed_anywhere_and_found_too_late_a_booking_is_undone() {
    killed_everywhere(Scenario::TooLate, KILLS_ELSEWHERE).await;
}

#[tokio::test]
async fn killed_anywhere_an_expiry_ends_with_nothing_held() {
    killed_everywhere(Scenario::NotBegun, KILLS_ELSEWHERE).await;
}

#[tokio::test]
async fn after_any_step_another_process_goes_on_or_undoes() {
    let place = prepared(10_000).await;
    for steps in 0..=4 {
        for (later_us, wanted) in [(6_000_000, "confirmed"), (16 * 60_000_000, "expired")] {
            let place = place.copy().await;
            let db = open(&place).await;
            let id = begun(&db, NOW, wish("car-1", 0, 1)).await.unwrap();
            for _ in 0..steps {
                assert!(saga::step(&db, NOW, &id).await.unwrap());
            }
            db.close().await;
            let db = open(&place).await;
            worked(&db, NOW.plus_us(later_us)).await;
            let booking = all(&db).await.remove(0);
            let wanted = if steps == 4 { "confirmed" } else { wanted };
            assert_eq!(booking.status.as_str(), wanted, "after {steps} steps");
            clean(&place, &db, &booking).await;
            db.close().await;
        }
    }
}

#[tokio::test]
async fn a_saga_left_behind_goes_on_by_itself_in_the_next_process() {
    let place = prepared(10_000).await;
    let db = open(&place).await;
    let now = Timestamp::parse(crate::server::NOW).unwrap().plus_us(-10_000_000);
    let id = begun(&db, now, wish("car-1", 0, 1)).await.unwrap();
    assert!(saga::step(&db, now, &id).await.unwrap());
    db.close().await;
    let server = Server::start_at(place, |config| config).await;
    server.until(&format!("/v1/bookings/{id}"), |b| b["status"] == "confirmed").await;
    server.until("/v1/notifications", |p| p["data"][0]["subject_id"] == id.as_str()).await;
}

#[tokio::test]
async fn rows_made_anew_from_the_events_are_equal() {
    let place = prepared(10_000).await;
    let db = open(&place).await;
    let mut ids = Vec::new();
    for hours in [(0, 1), (1, 2), (2, 3), (3, 4)] {
        ids.push(booked(&db, NOW, wish("car-1", hours.0, hours.1)).await.unwrap().id);
    }
    let failed = booked(&db, NOW, wish("car-1", 0, 4)).await.unwrap();
    assert_eq!(failed.end_reason.unwrap().code, EndCode::VehicleTaken);
    begun(&db, NOW, wish("car-1", 8, 9)).await.unwrap();
    let mut tx = db.write().await.unwrap();
    acts::cancel(&mut tx, NOW, &ids[1]).await.unwrap();
    let to = Timestamp(FROM_US + 5 * HOUR_US).to_string();
    acts::extend(&mut tx, NOW, (&ids[3], &Extension { to })).await.unwrap();
    let start = Timestamp(FROM_US);
    acts::start(&mut tx, start, &ids[0]).await.unwrap();
    acts::finish(&mut tx, start.plus_us(HOUR_US), &ids[0]).await.unwrap();
    tx.commit().await.unwrap();

    let rows = async || {
        let bookings = "SELECT id || status || data || reserves_vehicle || '/' || COALESCE(due_us, 0) || '/' || \
                        from_us || '/' || to_us || '/' || version || COALESCE(vehicle_id, '') FROM bookings ORDER BY id";
        let plans = "SELECT id || status || data || start_us || '/' || version || vehicle_id FROM planned_trips ORDER BY id";
        (texts(&place, bookings).await, texts(&place, plans).await)
    };
    let before = rows().await;
    assert_eq!((before.0.len(), before.1.len()), (6, 4));
    let mut conn = AnyConnection::connect(&place.url).await.unwrap();
    for sql in ["UPDATE bookings SET status = 'lost', data = '{}'", "DELETE FROM planned_trips"] {
        sqlx::query(sql).execute(&mut conn).await.unwrap();
    }
    conn.close().await.unwrap();
    let made = api::rebuild(&db, &[Projection::Bookings, Projection::PlannedTrips]).await.unwrap();
    assert!(made.iter().map(|(_, count)| count).sum::<u64>() > 30, "{made:?}");
    assert_eq!(rows().await, before);
    db.close().await;
}

/// What may be tried, with periods that often do not fit.
#[derive(Debug, Clone)]
enum Act {
    Book(usize, i64, i64),
    Extend(usize, i64),
    Cancel(usize),
    Start(usize),
    Finish(usize),
    Wait(i64),
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_usize..3, 0_i64..12, 1_i64..4).prop_map(|(v, f, h)| Act::Book(v, f, h)),
        2 => (0_usize..8, 1_i64..5).prop_map(|(i, h)| Act::Extend(i, h)),
        1 => (0_usize..8).prop_map(Act::Cancel),
        1 => (0_usize..8).prop_map(Act::Start),
        1 => (0_usize..8).prop_map(Act::Finish),
        1 => (0_i64..3).prop_map(Act::Wait),
    ]
}

async fn acted_out(place: &Place, sequence: Vec<Act>) {
    let place = place.copy().await;
    let db = open(&place).await;
    let (mut now, mut ids) = (NOW, Vec::<BookingId>::new());
    for act in sequence {
        let done = match act {
            Act::Book(vehicle, from, hours) => {
                // The third is any that is free.
                let mut new = wish(["car-1", "car-2", ""][vehicle], from, from + hours);
                if vehicle == 2 {
                    new.vehicle_id = None;
                    new.organization_id = Some(only_wallet(&db).await.organization_id.to_string());
                }
                match booked(&db, now, new).await {
                    Ok(booking) => ids.push(booking.id),
                    Err(error) => assert!(matches!(error, DomainError::Invalid { .. }), "{error:?}"),
                }
                Ok(())
            }
            Act::Wait(hours) => {
                now = now.plus_us(hours * HOUR_US);
                worked(&db, now).await;
                Ok(())
            }
            Act::Extend(index, _) | Act::Cancel(index) | Act::Start(index) | Act::Finish(index) => {
                let Some(id) = ids.get(index) else { continue };
                let mut tx = db.write().await.unwrap();
                let to = bookings::get(&mut tx, id).await.unwrap().to;
                let done = match act {
                    Act::Extend(_, hours) => {
                        let extension = Extension { to: to.plus_us(hours * HOUR_US).to_string() };
                        acts::extend(&mut tx, now, (id, &extension)).await
                    }
                    Act::Cancel(_) => acts::cancel(&mut tx, now, id).await,
                    Act::Start(_) => acts::start(&mut tx, now, id).await,
                    _ => acts::finish(&mut tx, now, id).await,
                };
                match done {
                    Ok(_) => {
                        tx.commit().await.unwrap();
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
        };
        if let Err(error) = done {
            assert!(matches!(error, DomainError::Conflict(_) | DomainError::Invalid { .. }), "{error:?}");
        }
        kept_whole(&db).await;
    }
    db.close().await;
}

async fn kept_whole(db: &Db) {
    let bookings = all(db).await;
    let active: Vec<&Booking> = bookings.iter().filter(|b| b.is_vehicle_reserved).collect();
    for (index, one) in active.iter().enumerate() {
        for two in &active[index + 1..] {
            let overlap = one.vehicle_id == two.vehicle_id && one.from < two.to && two.from < one.to;
            assert!(!overlap, "{one:?} {two:?}");
        }
    }
    let held: i64 = bookings.iter().filter(|b| b.is_credit_held).map(|b| b.price.total_minor).sum();
    let charged: i64 = bookings.iter().map(|b| b.charged_minor).sum();
    let wallet = only_wallet(db).await;
    assert_eq!((wallet.held_minor, wallet.balance_minor), (held, 10_000 - charged));
    let mut conn = db.read().await.unwrap();
    assert_eq!(wallets::sum_of_entries(&mut conn, "").await.unwrap(), 0, "the ledger sums to zero");
}

#[test]
fn any_sequence_of_acts_books_no_vehicle_twice_and_keeps_the_books() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(async {
        let Fleet { server, organization, .. } = fleet(10_000).await;
        let new = serde_json::json!({ "vehicle_id": "car-2", "organization_id": organization });
        assert_eq!(server.post("/v1/vehicles", new).await.status, 201);
        stopped(server).await
    });
    let config = ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(sequence in prop::collection::vec(any_act(), 1..30))| {
        runtime.block_on(acted_out(&place, sequence));
    });
}
