//! What a booking costs when its trips come in late, are revised or taken back: the wallet and the invoices
//! together always have its price, whatever dies in between.

use std::{collections::BTreeMap, sync::Arc};

use analytics::row::{TripRow, TripStatus};
use api::{
    billing::{
        invoicing, settlement,
        types::{InvoiceQuery, InvoiceWithLines},
        wallet_types::TopUp,
        wallets,
    },
    bookings::{
        self, acts,
        observer::BookedTrips,
        types::{Booking, BookingQuery, BookingStatus, NewBooking},
    },
    db::Db,
    events::Event,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::time::Timestamp;

use super::{
    booking_saga::{booked, only_wallet, stopped},
    bookings::{Fleet, fleet, send, wish},
    follow::{follower, killed_after, killed_at, open},
};
use crate::{
    fake_lake::{FakeLake, revised, trip, withdrawn},
    place::Place,
};

/// Points at which the follower is killed.
const KILLS: usize = 30;
/// What four hours cost, as no trip has come in.
const ESTIMATE: i64 = 2_525;
/// What a trip of an hour and 10 km costs: 8.70 and a quarter.
const TRIP: i64 = 1_088;

impl Fleet {
    /// Books four hours from now, drives, and finishes before anything of it is in the lake; the id.
    async fn finished(&self) -> String {
        let id = self.booked("b", wish(12, 16)).await;
        assert_eq!(self.act(&id, "start", "s", json!({})).await.0, 200);
        self.wait_hours(2);
        let (status, finished) = self.act(&id, "finish", "f", json!({})).await;
        assert_eq!((status, &finished["price"]["basis"]), (200, &json!("estimate")), "{finished}");
        id
    }

    /// Waits for a booking of this price; what is charged and what is owed.
    async fn settled(&self, id: &str, price: i64) -> (i64, i64) {
        let wanted = |b: &Value| b["price"]["total_minor"] == price;
        let booking = self.server.until(&format!("/v1/bookings/{id}"), wanted).await;
        (booking["charged_minor"].as_i64().unwrap(), booking["owed_minor"].as_i64().unwrap())
    }

    /// Every invoice with its charges, oldest month first: status, charge and total of each.
    async fn invoices(&self) -> Vec<(String, i64, i64)> {
        let page = self.server.json("/v1/invoices").await;
        let mut found = Vec::new();
        for invoice in page["data"].as_array().unwrap().iter().rev() {
            let path = format!("/v1/invoices/{}", invoice["id"].as_str().unwrap());
            let invoice = self.server.json(&path).await;
            let charges = invoice["charges"].as_array().unwrap().iter();
            let sum = charges.map(|c| c["total_minor"].as_i64().unwrap()).sum();
            let status = invoice["status"].as_str().unwrap().to_owned();
            found.push((status, sum, invoice["total_minor"].as_i64().unwrap()));
        }
        found
    }

    /// The id of the only draft.
    async fn draft(&self) -> String {
        let page = self.server.json("/v1/invoices?status=draft").await;
        assert_eq!(page["data"].as_array().unwrap().len(), 1, "{page}");
        page["data"][0]["id"].as_str().unwrap().to_owned()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = send(&self.server, path, &format!("{path}{body}"), body).await;
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.body);
        answer.json()
    }

    /// The types of the events of a booking, of its settling alone.
    async fn told(&self, id: &str) -> Vec<String> {
        let log = self.server.json("/v1/events?limit=200").await;
        let of = log["data"].as_array().unwrap().iter().filter(|e| e["aggregate_id"] == id);
        let types = of.map(|e| e["event_type"].as_str().unwrap().to_owned());
        types.skip_while(|t| t != "BookingFinished").collect()
    }
}

#[tokio::test]
async fn trips_that_come_in_late_are_revised_or_withdrawn_set_the_price_right() {
    let fleet = fleet(10_000).await;
    let id = fleet.finished().await;
    let lake = &fleet.server.lake;
    assert_eq!(fleet.money().await, (10_000 - ESTIMATE, 0));
    let one = trip("a", "car-1", "2026-11-23T12:10:00Z", (10_000, 3_600, 0));
    lake.commit(vec![one.clone()]);
    assert_eq!(fleet.settled(&id, TRIP).await, (TRIP, 0));
    assert_eq!(fleet.money().await, (10_000 - TRIP, 0), "what was too much is in the wallet again");
    let two = trip("b", "car-1", "2026-11-23T13:30:00Z", (10_000, 3_600, 0));
    lake.commit(vec![two.clone(), trip("c", "car-1", "2026-11-23T15:30:00Z", (10_000, 3_600, 0))]);
    // 17.40 and 4.35.
    assert_eq!(fleet.settled(&id, 2_175).await, (2_175, 0));
    // 23.20 and 5.80.
    lake.commit(vec![revised(&one, 30_000)]);
    assert_eq!(fleet.settled(&id, 2_900).await, (2_900, 0));
    lake.commit(vec![withdrawn(&revised(&one, 30_000))]);
    assert_eq!(fleet.settled(&id, TRIP).await, (TRIP, 0));
    lake.commit(vec![withdrawn(&two)]);
    assert_eq!(fleet.settled(&id, ESTIMATE).await, (ESTIMATE, 0), "no trip took place: the estimate");
    assert_eq!(fleet.money().await, (10_000 - ESTIMATE, 0));
    let told = ["BookingFinished", "BookingTripDriven", "BookingSettled"];
    let pairs = told[1..].iter().cycle().take(10).map(ToString::to_string);
    assert_eq!(fleet.told(&id).await, [told[0].to_owned()].into_iter().chain(pairs).collect::<Vec<_>>());
    // The trip after the finish is billed as any other; the booking's are on no invoice.
    let invoices = fleet.server.until("/v1/invoices", |p| p["data"][0]["line_count"] == 3).await;
    assert_eq!(invoices["data"].as_array().unwrap().len(), 1);
    let log = fleet.server.json("/v1/events?limit=200").await;
    let settled = log["data"].as_array().unwrap().iter().filter(|e| e["event_type"] == "BookingSettled");
    let trips: Vec<usize> = settled.map(|e| e["data"]["trips"].as_array().unwrap().len()).collect();
    assert_eq!(trips, [1, 2, 2, 1, 0], "each says of which trips it is");
}

#[tokio::test]
async fn what_the_wallet_has_not_is_on_the_next_invoice_and_paid_there() {
    let fleet = fleet(3_000).await;
    let id = fleet.finished().await;
    let one = trip("a", "car-1", "2026-11-23T12:10:00Z", (100_000, 3_600, 0));
    fleet.server.lake.commit(vec![one.clone()]);
    // 34.80 and 8.70.
    assert_eq!(fleet.settled(&id, 4_350).await, (3_000, 1_350));
    assert_eq!(fleet.invoices().await, [("draft".to_owned(), 1_350, 1_350)]);
    let draft = fleet.draft().await;
    let invoice = fleet.server.json(&format!("/v1/invoices/{draft}")).await;
    let charge = &invoice["charges"][0];
    assert_eq!(
        (&charge["reference"], &charge["net_minor"], &charge["tax_minor"]),
        (&json!(id), &json!(1_080), &json!(270))
    );
    assert_eq!((&invoice["subtotal_minor"], &invoice["tax_minor"]), (&json!(1_080), &json!(270)));
    assert_eq!(invoice["taxes"], json!([{ "tax_percent": "25", "taxable_minor": 1_080, "tax_minor": 270 }]));

    // A revision changes the draft's charge, not the wallet.
    let less = revised(&one, 90_000);
    fleet.server.lake.commit(vec![less.clone()]);
    // 31.90 and 7.98.
    assert_eq!(fleet.settled(&id, 3_988).await, (3_000, 988));
    assert_eq!(fleet.invoices().await, [("draft".to_owned(), 988, 988)]);

    // Once final it stays, and is paid as any invoice.
    fleet.post(&format!("/v1/invoices/{draft}/finalize"), json!({})).await;
    let pay = json!({ "invoice_id": draft, "method": { "type": "card", "token": "tok_ok" } });
    assert_eq!(fleet.post("/v1/payments", pay).await["amount_minor"], 988);
    let more = revised(&less, 110_000);
    fleet.server.lake.commit(vec![more.clone()]);
    // 37.70 and 9.43.
    assert_eq!(fleet.settled(&id, 4_713).await, (3_000, 1_713));
    assert_eq!(fleet.invoices().await, [("paid".to_owned(), 988, 988), ("draft".to_owned(), 725, 725)]);
    // Less than what is paid: a charge below zero on the next, and the rest into the wallet.
    fleet.server.lake.commit(vec![revised(&more, 10_000)]);
    assert_eq!(fleet.settled(&id, TRIP).await, (TRIP, 0));
    assert_eq!(fleet.invoices().await, [("paid".to_owned(), 988, 988), ("draft".to_owned(), -988, -988)]);
    assert_eq!(fleet.money().await, (3_000 - TRIP, 0));
}

#[tokio::test]
async fn the_charge_of_an_invoice_that_becomes_void_is_on_the_next() {
    let fleet = fleet(3_000).await;
    let id = fleet.finished().await;
    fleet.server.lake.commit(vec![trip("a", "car-1", "2026-11-23T12:10:00Z", (100_000, 3_600, 0))]);
    assert_eq!(fleet.settled(&id, 4_350).await, (3_000, 1_350));
    let draft = fleet.draft().await;
    fleet.post(&format!("/v1/invoices/{draft}/finalize"), json!({})).await;
    fleet.post(&format!("/v1/invoices/{draft}/void"), json!({ "reason": "wrong address" })).await;
    assert_eq!(
        fleet.invoices().await,
        [("void".to_owned(), 1_350, 1_350), ("draft".to_owned(), 1_350, 1_350)]
    );
}

#[tokio::test]
async fn what_nobody_finishes_is_finished_while_its_credit_is_held() {
    let fleet = fleet(10_000).await;
    let id = fleet.booked("b", wish(12, 16)).await;
    assert_eq!(fleet.act(&id, "start", "s", json!({})).await.0, 200);
    fleet.wait_hours(4 + 6 * 24 - 1);
    fleet.server.lake.commit(vec![trip("a", "car-1", "2026-11-23T12:10:00Z", (10_000, 3_600, 0))]);
    fleet.server.until("/v1/trips", |p| p["data"].as_array().unwrap().len() == 1).await;
    assert_eq!(fleet.server.json(&format!("/v1/bookings/{id}")).await["status"], "started");
    fleet.wait_hours(1);
    let path = format!("/v1/bookings/{id}");
    let finished = fleet.server.until(&path, |b| b["status"] == "finished").await;
    assert_eq!((&finished["charged_minor"], &finished["owed_minor"]), (&json!(TRIP), &json!(0)));
    assert_eq!(fleet.money().await, (10_000 - TRIP, 0));
}

/// A database with a booking of car-1 that was finished with no trip come in, of so much credit at the start;
/// nobody has it open.
async fn finished_place(credit_minor: i64) -> Place {
    let Fleet { server, .. } = fleet(credit_minor).await;
    let place = stopped(server).await;
    let db = open(&place).await;
    let start = Timestamp::parse(crate::server::NOW).unwrap();
    let new = NewBooking {
        vehicle_id: Some("car-1".to_owned()),
        from: start.to_string(),
        to: start.plus_us(4 * 3_600_000_000).to_string(),
        ..NewBooking::default()
    };
    let booking = booked(&db, start, new).await.unwrap();
    assert_eq!(booking.status, BookingStatus::Confirmed);
    let mut tx = db.write().await.unwrap();
    acts::start(&mut tx, start, &booking.id).await.unwrap();
    acts::finish(&mut tx, start.plus_us(2 * 3_600_000_000), &booking.id).await.unwrap();
    tx.commit().await.unwrap();
    db.close().await;
    place
}

/// What has come of a booking's money, without ids and times.
#[derive(Debug, PartialEq)]
struct Outcome {
    booking: (i64, i64, i64),
    wallet: (i64, i64),
    invoices: Vec<(String, i64, i64)>,
    events: BTreeMap<String, Vec<String>>,
}

async fn all_invoices(db: &Db) -> Vec<InvoiceWithLines> {
    let mut conn = db.read().await.unwrap();
    let query = InvoiceQuery { limit: Some(200), ..InvoiceQuery::default() };
    let mut found = Vec::new();
    for invoice in invoicing::list(&mut conn, &query).await.unwrap().data.iter().rev() {
        found.push(invoicing::get_with_lines(&mut conn, &invoice.id).await.unwrap());
    }
    found
}

async fn only_booking(db: &Db) -> Booking {
    let mut conn = db.read().await.unwrap();
    bookings::list(&mut conn, BookingQuery::default()).await.unwrap().data.remove(0)
}

async fn outcome(db: &Db) -> Outcome {
    let booking = only_booking(db).await;
    let wallet = only_wallet(db).await;
    let sums = |i: &InvoiceWithLines| i.charges.iter().map(|c| c.total_minor).sum::<i64>();
    let invoices = all_invoices(db).await;
    let mut conn = db.read().await.unwrap();
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let events: Vec<Event> = api::events::after(&mut conn, 0, 10_000).await.unwrap();
    for event in events {
        let amounts =
            ["charged_minor", "owed_minor", "amount_minor"].map(|name| event.data[name].to_string());
        told.entry(event.aggregate_type)
            .or_default()
            .push(format!("{} v{} {amounts:?}", event.event_type, event.version));
    }
    Outcome {
        booking: (booking.price.total_minor, booking.charged_minor, booking.owed_minor),
        wallet: (wallet.balance_minor, wallet.held_minor),
        invoices: invoices
            .iter()
            .map(|i| (i.invoice.status.as_str().to_owned(), sums(i), i.invoice.total_minor))
            .collect(),
        events: told,
    }
}

/// The money of the only booking is all there, once.
async fn kept_whole(db: &Db, credit_minor: i64) {
    let booking = only_booking(db).await;
    assert_eq!(booking.charged_minor + booking.owed_minor, booking.price.total_minor, "{booking:?}");
    assert!(booking.charged_minor >= 0 && booking.owed_minor >= 0, "{booking:?}");
    let wallet = only_wallet(db).await;
    assert_eq!((wallet.balance_minor, wallet.held_minor), (credit_minor - booking.charged_minor, 0));
    let invoices = all_invoices(db).await;
    let charges = invoices.iter().filter(|i| i.invoice.status.as_str() != "void").flat_map(|i| &i.charges);
    let (mut billed, mut tax) = (0, 0);
    for charge in charges {
        assert_eq!(charge.net_minor + charge.tax_minor, charge.total_minor);
        billed += charge.total_minor;
        tax += charge.tax_minor;
    }
    assert_eq!(billed, booking.owed_minor, "on invoices is what is owed: {invoices:?}");
    let price = &booking.price;
    let share = (2 * billed * price.tax_minor + price.total_minor) / (2 * price.total_minor);
    assert_eq!(tax, share, "and its share of the tax");
    let mut conn = db.read().await.unwrap();
    assert_eq!(wallets::sum_of_entries(&mut conn, "").await.unwrap(), 0, "the ledger sums to zero");
}

/// Trips that come in late: dearer than the wallet, then less, and one more.
fn late(lake: &FakeLake) {
    let one = trip("a", "car-1", "2026-11-23T12:10:00Z", (100_000, 3_600, 0));
    lake.commit(vec![one.clone()]);
    lake.commit(vec![revised(&one, 20_000), trip("b", "car-1", "2026-11-23T13:30:00Z", (90_000, 3_600, 0))]);
}

#[tokio::test]
async fn killed_anywhere_a_late_trip_is_settled_once() {
    let clean = finished_place(3_000).await;
    let mut expected: Option<Outcome> = None;
    killed_at(KILLS, async |polls| {
        let place = clean.copy().await;
        let lake = Arc::new(FakeLake::default());
        late(&lake);
        let db = open(&place).await;
        let cut = killed_after(polls, follower(&db, &lake, Arc::new(BookedTrips::default())).step()).await;
        db.close().await;
        let db = open(&place).await;
        let again = follower(&db, &lake, Arc::new(BookedTrips::default()));
        while again.step().await.unwrap() > 0 {}
        kept_whole(&db, 3_000).await;
        let found = outcome(&db).await;
        db.close().await;
        match &expected {
            // 11.60 + 31.90, and 10.88 of tax.
            None => assert_eq!(found.booking, (5_438, 3_000, 2_438)),
            Some(expected) => assert_eq!(&found, expected, "killed after {polls} polls"),
        }
        expected.get_or_insert(found);
        cut
    })
    .await;
}

/// What may happen after a booking is finished.
#[derive(Debug, Clone)]
enum Act {
    /// A trip of it comes in, or its next revision, of so many km.
    Drive(usize, i64),
    Withdraw(usize),
    TopUp(i64),
    Finalize,
    Void,
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_usize..3, 0_i64..200).prop_map(|(i, km)| Act::Drive(i, km)),
        1 => (0_usize..3).prop_map(Act::Withdraw),
        1 => (1_i64..3_000).prop_map(Act::TopUp),
        1 => Just(Act::Finalize),
        1 => Just(Act::Void),
    ]
}

async fn acted_out(clean: &Place, sequence: Vec<Act>) {
    let place = clean.copy().await;
    let lake = Arc::new(FakeLake::default());
    let db = open(&place).await;
    let following = follower(&db, &lake, Arc::new(BookedTrips::default()));
    let mut trips: Vec<Option<TripRow>> = vec![None; 3];
    let mut credit_minor = 3_000;
    let now = Timestamp::parse("2026-11-24T00:00:00Z").unwrap();
    for act in sequence {
        match act {
            Act::Drive(index, km) => {
                let start = format!("2026-11-23T12:{}0:00Z", index + 1);
                let next = match &trips[index] {
                    None => trip(&format!("{index}"), "car-1", &start, (km * 1_000, 600, 0)),
                    Some(before) => TripRow { status: TripStatus::Completed, ..revised(before, km * 1_000) },
                };
                lake.commit(vec![next.clone()]);
                trips[index] = Some(next);
            }
            Act::Withdraw(index) => {
                let Some(before) = trips[index].clone() else { continue };
                lake.commit(vec![withdrawn(&before)]);
                trips[index] = Some(withdrawn(&before));
            }
            Act::TopUp(amount_minor) => {
                let wallet = only_wallet(&db).await;
                let top_up = TopUp { amount_minor, reference: "bank".to_owned() };
                let mut tx = db.write().await.unwrap();
                wallets::top_up(&mut tx, now, (&wallet.id, &top_up)).await.unwrap();
                tx.commit().await.unwrap();
                credit_minor += amount_minor;
            }
            Act::Finalize | Act::Void => {
                let (status, is_void) =
                    if matches!(act, Act::Void) { ("finalized", true) } else { ("draft", false) };
                let invoices = all_invoices(&db).await;
                let Some(found) = invoices.iter().find(|i| i.invoice.status.as_str() == status) else {
                    continue;
                };
                let mut tx = db.write().await.unwrap();
                if is_void {
                    let reason = settlement::VoidReason { reason: "wrong".to_owned() };
                    settlement::void(&mut tx, now, (&found.invoice.id, &reason)).await.unwrap();
                } else if found.invoice.line_count > 0 {
                    invoicing::finalize(&mut tx, now, &found.invoice.id).await.unwrap();
                }
                tx.commit().await.unwrap();
            }
        }
        while following.step().await.unwrap() > 0 {}
        kept_whole(&db, credit_minor).await;
    }
    // 1.00, 0.29 a km and ten minutes at 4.80 an hour.
    let completed = trips.iter().flatten().filter(|t| t.status == TripStatus::Completed);
    let driven: i64 = completed.map(|t| 100 + t.distance_m * 29 / 1_000 + 80).sum();
    let wanted = if driven == 0 { ESTIMATE } else { (driven * 125 + 50) / 100 };
    assert_eq!(only_booking(&db).await.price.total_minor, wanted);
    db.close().await;
}

#[test]
fn any_sequence_of_late_trips_leaves_wallet_and_invoices_with_the_price() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(finished_place(3_000));
    let config = ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(sequence in prop::collection::vec(any_act(), 1..14))| {
        runtime.block_on(acted_out(&place, sequence));
    });
}
