//! Rows made anew from the event log are those that were there, whatever was done to them.

use std::{collections::BTreeMap, time::Duration};

use api::{Projection, rebuild};
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Column, Connection, Row};

use super::{
    Server, agents, alerts,
    booking_saga::stopped,
    bookings::{Fleet, fleet_with, send, wish},
    devices, drivers,
    follow::open,
    geofences::{fence, reading, square},
    groups, maintenance,
};
use crate::{
    broker::Broker,
    fake_lake::{revised, trip, withdrawn},
    place::Place,
    server::tariff,
};

/// What is made of events, each table after those it points at, with its key.
const TABLES: [(&str, &str); 36] = [
    ("organizations", "id"),
    ("vehicles", "id"),
    ("geofences", "id"),
    ("geofence_presences", "geofence_id, vehicle_id"),
    ("vehicle_mileage", "vehicle_id"),
    ("trip_revisions", "trip_id, revision"),
    ("trips", "trip_id"),
    ("planned_trips", "id"),
    ("tariffs", "id, version"),
    ("tariff_assignments", "organization_id"),
    ("invoices", "id"),
    ("invoice_lines", "id"),
    ("invoice_charges", "id"),
    ("credit_notes", "id"),
    ("credit_note_lines", "id"),
    ("wallets", "id"),
    ("wallet_holds", "id"),
    ("bookings", "id"),
    ("booked_trips", "trip_id"),
    ("dunning_policies", "scope, version"),
    ("dunning_cases", "invoice_id"),
    ("payments", "id"),
    ("campaign_sets", "id"),
    ("campaign_deployments", "id"),
    ("campaign_targets", "deployment_id, vehicle_id"),
    ("commands", "id"),
    ("devices", "id"),
    ("certificates", "id"),
    ("maintenance_schedules", "id"),
    ("maintenance_items", "schedule_id, vehicle_id"),
    ("work_orders", "id"),
    ("drivers", "id"),
    ("driver_assignments", "id"),
    ("vehicle_groups", "id"),
    ("group_vehicles", "group_id, vehicle_id"),
    ("alert_rules", "id"),
];

/// Every value of every row, but for when the broker was given something: it is given all of it again.
pub(super) async fn rows(place: &Place) -> BTreeMap<&'static str, Vec<Vec<String>>> {
    let mut conn = AnyConnection::connect(&place.url).await.unwrap();
    let mut found = BTreeMap::new();
    for (table, key) in TABLES {
        let sql = format!("SELECT * FROM {table} ORDER BY {key}");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut conn).await.unwrap();
        let value = |row: &sqlx::any::AnyRow, i: usize| {
            let number = row.try_get::<Option<i64>, _>(i).map(|n| format!("{n:?}"));
            number.unwrap_or_else(|_| format!("{:?}", row.get::<Option<String>, _>(i)))
        };
        let row = |row: &sqlx::any::AnyRow| {
            let columns = row.columns().iter().filter(|c| c.name() != "published_us");
            let columns = columns.map(|c| format!("{}: {}", c.name(), value(row, c.ordinal())));
            columns.collect::<Vec<_>>()
        };
        found.insert(table, rows.iter().map(row).collect());
    }
    conn.close().await.unwrap();
    found
}

async fn execute(place: &Place, statements: &[&'static str]) {
    let mut conn = AnyConnection::connect(&place.url).await.unwrap();
    for statement in statements {
        sqlx::query(*statement).execute(&mut conn).await.unwrap();
    }
    conn.close().await.unwrap();
}

async fn post(server: &Server, path: &str, body: Value) -> Value {
    let answer = send(server, path, &format!("{path}{body}"), body).await;
    assert!((200..300).contains(&answer.status), "{path}: {}", answer.body);
    answer.json()
}

/// One of everything: trips with revisions; invoices that are draft, paid, refunded and void, with notes and
/// charges; holds that were captured, released and expired; bookings that were finished, cancelled and settled;
/// geofences that were changed and deleted, with who is in them and who was; campaigns and commands.
async fn story() -> Fleet {
    let (broker, keys) = (Broker::start().await, tempfile::tempdir().unwrap());
    let fleet = fleet_with(3_000, |config| agents::reaching(config, &broker, keys.path())).await;
    let server = &fleet.server;
    broker.subscribed().await;
    let terms = json!({ "payment_terms_days": 10, "steps": [{ "after_days": 1, "actions": ["reminder"] }] });
    let put = server.send("PUT /v1/dunning-policy", &[("if-match", "\"0\"")], Some(&terms)).await;
    assert_eq!(put.status, 200, "{}", put.body);
    let one = trip("one", "car-1", "2026-09-02T08:00:00Z", (10_000, 3_600, 0));
    let two = trip("two", "car-1", "2026-10-02T08:00:00Z", (20_000, 3_600, 60));
    server.lake.commit(vec![
        one.clone(),
        two.clone(),
        trip("three", "car-9", "2026-10-03T08:00:00Z", (1, 1, 0)),
    ]);
    let page = server.until("/v1/invoices", |p| p["data"].as_array().unwrap().len() == 2).await;
    let ids: Vec<&str> = page["data"].as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap()).collect();
    for id in &ids {
        post(server, &format!("/v1/invoices/{id}/finalize"), json!({})).await;
    }
    let card = json!({ "invoice_id": ids[1], "method": { "type": "card", "token": "tok_ok" } });
    let paid = post(server, "/v1/payments", card).await;
    post(server, "/v1/refunds", json!({ "payment_id": paid["id"], "amount_minor": 88, "reason": "sorry" }))
        .await;
    post(server, &format!("/v1/invoices/{}/void", ids[0]), json!({ "reason": "wrong" })).await;
    server.lake.commit(vec![revised(&one, 5_000), withdrawn(&two)]);
    server.until("/v1/credit-notes", |p| p["data"].as_array().unwrap().len() == 1).await;

    let hold = |amount: i64| json!({ "wallet_id": fleet.wallet, "amount_minor": amount, "reason": "deposit", "expires_in_s": 60 });
    for (amount, act) in [(100, "capture"), (101, "release")] {
        let held = post(server, "/v1/wallet-holds", hold(amount)).await;
        post(server, &format!("/v1/wallet-holds/{}/{act}", held["id"].as_str().unwrap()), json!({})).await;
    }
    let expires = post(server, "/v1/wallet-holds", hold(102)).await;
    server.clock.advance(Duration::from_secs(59));
    let given_up = post(server, "/v1/bookings", wish(17, 18)).await;
    post(server, &format!("/v1/bookings/{}/cancel", given_up["id"].as_str().unwrap()), json!({})).await;
    let booked = post(server, "/v1/bookings", wish(12, 16)).await;
    let path = format!("/v1/bookings/{}", booked["id"].as_str().unwrap());
    post(server, &format!("{path}/start"), json!({})).await;
    server.clock.advance(Duration::from_secs(3_600));
    let expired = format!("/v1/wallet-holds/{}", expires["id"].as_str().unwrap());
    server.until(&expired, |h| h["status"] == "expired").await;
    post(server, &format!("{path}/finish"), json!({})).await;
    server.lake.commit(vec![trip("late", "car-1", "2026-11-23T12:10:00Z", (100_000, 1_800, 0))]);
    server.until(&path, |b| b["owed_minor"].as_i64().unwrap() > 0).await;

    let mut terms = tariff();
    terms["tax_percent"] = json!("19");
    let tariffs = server.json("/v1/tariffs").await;
    let tariff = format!("PUT /v1/tariffs/{}", tariffs["data"][0]["id"].as_str().unwrap());
    assert_eq!(server.send(&tariff, &[("if-match", "\"1\"")], Some(&terms)).await.status, 200);
    let name = json!({ "name": "Van" });
    assert_eq!(
        server.send("PATCH /v1/vehicles/car-1", &[("if-match", "\"1\"")], Some(&name)).await.status,
        200
    );
    places(server).await;
    agents::story(server, &broker).await;
    devices::story(server).await;
    maintenance::story(server, &fleet.organization).await;
    drivers::story(server, &fleet.organization).await;
    groups::story(server, &fleet.organization).await;
    alerts::story(server, &fleet.organization).await;
    fleet
}

async fn places(server: &Server) {
    let mut made = Vec::new();
    for (name, south) in [("stays", 55.0), ("leaves", 56.0), ("goes", 57.0)] {
        made.push(fence(server, name, square(south), &Value::Null).await);
    }
    let crossed = async |count: usize| {
        let is_presence = |event: &&Value| event["aggregate_type"] == "geofence-presence";
        let all = |page: &Value| page["data"].as_array().unwrap().iter().filter(is_presence).count() == count;
        server.until("/v1/events?limit=200", all).await;
    };
    server.lake.see(vec![reading("car-1", 0, 55.0), reading("car-2", 0, 56.0), reading("car-3", 0, 57.0)]);
    crossed(3).await;
    // An hour has gone since: who is outside is silent.
    server.lake.see(vec![reading("car-1", 1, 55.0), reading("car-2", 1, 58.0)]);
    crossed(4).await;
    let path = |fence: &Value| format!("/v1/geofences/{}", fence["id"].as_str().unwrap());
    let smaller =
        json!({ "kind": "site", "geometry": { "type": "Circle", "centre": [12, 55], "radius_m": 99.9 } });
    let patch = format!("PATCH {}", path(&made[0]));
    assert_eq!(server.send(&patch, &[("if-match", "\"1\"")], Some(&smaller)).await.status, 200);
    assert_eq!(server.send(&format!("DELETE {}", path(&made[2])), &[], None).await.status, 204);
}

#[tokio::test]
async fn every_row_that_events_make_is_made_anew_as_it_was() {
    let place = stopped(story().await.server).await;
    let before = rows(&place).await;
    for (table, rows) in &before {
        assert!(!rows.is_empty(), "the story has no {table}");
    }
    let statuses = |table: &str| {
        let status = |row: &Vec<String>| row.iter().find(|c| c.starts_with("status")).unwrap().clone();
        before[table].iter().map(status).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!((statuses("invoices"), statuses("wallet_holds"), statuses("bookings")), (3, 3, 2));
    // Gone, where nothing points at it; or wrong.
    execute(
        &place,
        &[
            "DELETE FROM credit_note_lines",
            "DELETE FROM credit_notes WHERE kind = 'credit'",
            "DELETE FROM invoice_lines",
            "UPDATE invoice_charges SET net_minor = 0, is_superseded = 1",
            "DELETE FROM invoice_charges WHERE net_minor = 0",
            "DELETE FROM invoices WHERE id NOT IN (SELECT invoice_id FROM payments) AND id NOT IN (SELECT invoice_id FROM credit_notes)",
            "UPDATE invoices SET status = 'draft', number = 77, paid_minor = 5, version = 99",
            "DELETE FROM wallet_holds WHERE status = 'released'",
            "UPDATE wallet_holds SET status = 'held', captured_minor = 7",
            "UPDATE wallets SET balance_minor = 1000000, held_minor = 3, version = 1",
            "DELETE FROM booked_trips",
            "UPDATE bookings SET status = 'lost', data = '{}'",
            "DELETE FROM planned_trips",
            "DELETE FROM trips",
            "UPDATE trip_revisions SET data = '{}'",
            "DELETE FROM vehicle_mileage",
            "DELETE FROM geofence_presences WHERE is_inside = 0",
            "UPDATE geofence_presences SET is_inside = 0, entered_us = 1, crossed_us = 1, version = 7",
            "UPDATE geofences SET name = 'x', geometry = '{}', tags = '', version = 9",
            "UPDATE vehicles SET name = 'x', organization_id = NULL, version = 9",
            "DELETE FROM tariff_assignments",
            "DELETE FROM tariffs WHERE is_latest = 1",
            "UPDATE organizations SET time_zone = 'UTC'",
            "DELETE FROM dunning_policies",
            "DELETE FROM campaign_targets WHERE is_current = 0",
            "UPDATE campaign_targets SET is_current = 0",
            "UPDATE campaign_deployments SET name = 'x', text = ''",
            "UPDATE campaign_sets SET text = '', version = 9",
            "DELETE FROM commands WHERE outcome IS NULL",
            "UPDATE commands SET outcome = NULL, reply = NULL, sequence = 1",
            "DELETE FROM certificates WHERE revoked_us IS NULL",
            "UPDATE certificates SET revoked_us = NULL, replaced_by_id = NULL, version = 9",
            "DELETE FROM devices WHERE status = 'retired'",
            "UPDATE devices SET name = 'x', status = 'new', vehicle_id = NULL, signing_public_key = NULL",
            "DELETE FROM work_orders WHERE status = 'done'",
            "UPDATE work_orders SET closed_us = 1, status = 'done', data = '{}'",
            "UPDATE maintenance_items SET since_us = 1, odometer_m = NULL, told = 'ok', told_limits = NULL, is_done = 0",
            "UPDATE maintenance_schedules SET is_enabled = 0, data = '{}'",
            "DELETE FROM driver_assignments WHERE version = 2",
            "UPDATE driver_assignments SET from_us = 1, to_us = 2, note = 'x', made_by = 'x', updated_us = 1",
            "UPDATE drivers SET name = 'x', search = 'x', status = 'active', licence_until = 1, phone = NULL",
            "UPDATE alert_rules SET is_enabled = 0, version = 9, data = '{}'",
            "DELETE FROM group_vehicles",
            "UPDATE vehicle_groups SET name = 'x', name_key = id, description = NULL, version = 9",
            "UPDATE dunning_cases SET status = 'ended', next_us = 1, data = '{}'",
        ],
    )
    .await;
    assert_ne!(rows(&place).await, before);
    let db = open(&place).await;
    let made = rebuild(&db, &[]).await.unwrap();
    db.close().await;
    assert_eq!(made.iter().map(|(projection, _)| *projection).collect::<Vec<_>>(), Projection::ALL);
    assert!(made.iter().all(|(_, count)| *count > 0), "{made:?}");
    let after = rows(&place).await;
    for (table, rows) in before {
        assert_eq!(after[table], rows, "{table}");
    }
}

#[tokio::test]
async fn each_can_be_made_anew_by_itself() {
    let place = stopped(story().await.server).await;
    let before = rows(&place).await;
    let db = open(&place).await;
    for projection in Projection::ALL {
        rebuild(&db, &[projection]).await.unwrap();
        assert_eq!(rows(&place).await, before, "{projection}");
    }
    db.close().await;
}

#[tokio::test]
async fn beside_a_running_server_nothing_is_lost_and_it_goes_on() {
    let fleet = story().await;
    let server = &fleet.server;
    let db = open(&server.place).await;
    let writing = async {
        for n in 0..20 {
            let top_up = json!({ "amount_minor": 1, "reference": format!("{n}") });
            post(server, &format!("/v1/wallets/{}/top-ups", fleet.wallet), top_up).await;
        }
    };
    let rebuilding = async {
        for _ in 0..3 {
            rebuild(&db, &[]).await.unwrap();
        }
    };
    let before = server.json(&format!("/v1/wallets/{}", fleet.wallet)).await;
    tokio::join!(writing, rebuilding);
    let after = server.json(&format!("/v1/wallets/{}", fleet.wallet)).await;
    let (before, after) =
        (before["balance_minor"].as_i64().unwrap(), after["balance_minor"].as_i64().unwrap());
    assert_eq!(after, before + 20);
    db.close().await;
}

#[tokio::test]
async fn an_event_that_does_not_read_or_a_ledger_that_differs_changes_nothing_and_is_named() {
    let place = stopped(story().await.server).await;
    execute(&place, &["UPDATE vehicles SET name = 'wrong'"]).await;
    let before = rows(&place).await;
    let db = open(&place).await;
    for (spoil, mend, told) in [
        (
            "UPDATE ledger_entries SET amount_minor = amount_minor + 1 WHERE account LIKE 'wal%'",
            "UPDATE ledger_entries SET amount_minor = amount_minor - 1 WHERE account LIKE 'wal%'",
            "ledger of wallet",
        ),
        (
            "UPDATE events SET data = '{}' WHERE event_type = 'VehicleChanged'",
            "UPDATE vehicles SET name = 'wrong'",
            "event",
        ),
    ] {
        execute(&place, &[spoil]).await;
        let error = rebuild(&db, &[]).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(rows(&place).await, before);
        execute(&place, &[mend]).await;
    }
    db.close().await;
}
