//! What happens to an invoice after it became final: notes, payment outside, void.

use std::sync::Arc;

use api::billing::Billing;
use serde_json::{Value, json};

use super::{
    Server,
    billing::{amounts, finalize, only_invoice, pairs},
    follow::{follower, killed_after, killed_at, open},
};
use crate::fake_lake::{FakeLake, revised, trip, withdrawn};

/// Points at which a follower is killed.
const KILLS: usize = 30;

async fn post(server: &Server, path: &str, key: &str, body: Value) -> (u16, Value) {
    let answer = server.send(&format!("POST {path}"), &[("idempotency-key", key)], Some(&body)).await;
    (answer.status, answer.json())
}

/// A server whose customer has a final invoice of 8.70 for one trip.
async fn billed() -> (Server, Value) {
    let server = Server::start().await;
    server.customer("car-1").await;
    server.lake.commit(vec![trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0))]);
    let invoice = only_invoice(&server, |i| i["subtotal_minor"] == 870).await;
    let (status, done) = finalize(&server, &invoice, "finalize").await;
    assert_eq!((status, &done["number"]), (200, &json!("RL-000001")), "{done}");
    (server, invoice)
}

async fn note(server: &Server, index: usize) -> Value {
    let page = server.until("/v1/credit-notes", |p| p["data"].get(index).is_some()).await;
    let newest_first = page["data"].as_array().unwrap();
    let id = newest_first[newest_first.len() - 1 - index]["id"].as_str().unwrap().to_owned();
    server.json(&format!("/v1/credit-notes/{id}")).await
}

#[tokio::test]
async fn after_finalization_a_revision_becomes_a_note_with_the_difference_by_line() {
    let (server, invoice) = billed().await;
    let id = invoice["id"].as_str().unwrap();
    let first = trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0));
    let second = revised(&first, 12_000);
    server.lake.commit(vec![second.clone()]);
    let debit = note(&server, 0).await;
    assert_eq!(amounts(&debit), pairs([("DISTANCE", 58)]));
    assert_eq!((&debit["kind"], &debit["number"]), (&json!("debit"), &json!("DN-000001")));
    assert_eq!((&debit["invoice_id"], &debit["invoice_number"]), (&invoice["id"], &json!("RL-000001")));
    assert_eq!((&debit["trip_revision_before"], &debit["trip_revision"]), (&json!(1), &json!(2)));
    // 0.58 and 25 % of it: 14.5 cents, half up.
    assert_eq!((&debit["tax_minor"], &debit["total_minor"]), (&json!(15), &json!(73)));
    let line = &debit["lines"][0];
    assert_eq!((&line["kind"], &line["billed_before_minor"]), (&json!("correction"), &json!(290)));
    assert_eq!(line["corrects_line_id"], invoice["lines"][1]["id"]);
    assert_eq!((&line["quantity_before"], &line["quantity"]), (&json!("10"), &json!("12")));

    server.clock.advance(std::time::Duration::from_secs(1));
    server.lake.commit(vec![withdrawn(&second)]);
    let credit = note(&server, 1).await;
    assert_eq!(amounts(&credit), pairs([("FLAT", -100), ("DISTANCE", -348), ("TIME", -480)]));
    assert_eq!((&credit["kind"], &credit["number"]), (&json!("credit"), &json!("CN-000002")));
    assert_eq!(credit["lines"][1]["trip_revision_before"], 2);
    assert_eq!(credit["lines"][0]["trip_revision_before"], 1, "the flat price stayed as first billed");
    for line in credit["lines"].as_array().unwrap() {
        let (note, line) = (credit["id"].as_str().unwrap(), line["id"].as_str().unwrap());
        let proof = server.json(&format!("/v1/credit-notes/{note}/lines/{line}/evidence")).await;
        assert_eq!(proof["agrees"], true, "{proof}");
    }

    let now = server.json(&format!("/v1/invoices/{id}")).await;
    assert_eq!(now["lines"], invoice["lines"], "what is final stays");
    assert_eq!(now["notes"].as_array().unwrap().len(), 2);
    // 1088 of the invoice, 73 more, 1160 less: a cent of rounding stays, as two notes round twice.
    assert_eq!((&now["total_minor"], &now["noted_minor"]), (&json!(1_088), &json!(-1_087)));
    assert_eq!(now["due_minor"], 1);
    let drafts = server.json("/v1/invoices?status=draft").await;
    assert_eq!(drafts["data"], json!([]), "nothing is billed twice");
    let only = server.json(&format!("/v1/credit-notes?invoice_id={id}&limit=1")).await;
    assert_eq!(only["data"].as_array().unwrap().len(), 1);
    let rest = format!("/v1/credit-notes?limit=1&cursor={}", only["next_cursor"].as_str().unwrap());
    assert_eq!(server.json(&rest).await["data"][0]["id"], debit["id"]);
}

#[tokio::test]
async fn a_revision_that_costs_the_same_makes_no_note_and_a_merge_makes_one_a_trip() {
    let server = Server::start().await;
    server.customer("car-1").await;
    let one = trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0));
    let two = trip("b", "car-1", "2026-11-02T10:00:00Z", (5_000, 1_800, 0));
    server.lake.commit(vec![one.clone(), two.clone()]);
    let invoice = only_invoice(&server, |i| i["line_count"] == 6).await;
    finalize(&server, &invoice, "k").await;
    // The first took on the second: merged.
    let mut merged = revised(&one, 15_000);
    merged.duration_s = 9_000;
    merged.end_time = two.end_time;
    server.lake.commit(vec![revised(&two, 5_000)]);
    server.lake.commit(vec![merged, withdrawn(&revised(&two, 5_000))]);
    let notes = server.until("/v1/credit-notes", |p| p["data"].get(1).is_some()).await;
    let mut totals: Vec<(&str, i64)> = notes["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| (n["trip_id"].as_str().unwrap(), n["subtotal_minor"].as_i64().unwrap()))
        .collect();
    totals.sort_unstable();
    assert_eq!(totals, [("trp_a", 145 + 720), ("trp_b", -(100 + 145 + 240))]);
}

#[tokio::test]
async fn killed_anywhere_between_follow_and_note_there_is_exactly_one() {
    let (server, invoice) = billed().await;
    server.tasks.stop(std::time::Duration::from_secs(10)).await.unwrap();
    server.handle.close().await;
    let first = trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0));
    let lake = Arc::new(FakeLake::default());
    lake.commit(vec![first.clone()]);
    lake.commit(vec![revised(&first, 12_000)]);
    killed_at(KILLS, async |polls| {
        let place = server.place.copy().await;
        let db = open(&place).await;
        let cut = killed_after(polls, follower(&db, &lake, Arc::new(Billing)).step()).await;
        db.close().await;

        let db = open(&place).await;
        let again = follower(&db, &lake, Arc::new(Billing));
        while again.step().await.unwrap() > 0 {}
        // The same versions once more, as if the follower's place were lost.
        let mut tx = db.write().await.unwrap();
        sqlx::query("UPDATE lake_followers SET version = -1").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        while again.step().await.unwrap() > 0 {}
        let mut conn = db.read().await.unwrap();
        let events = api::events::after(&mut conn, 0, 10_000).await.unwrap();
        let issued: Vec<_> = events.iter().filter(|e| e.event_type == "DebitNoteIssued").collect();
        assert_eq!(issued.len(), 1, "killed after {polls} polls");
        let id = invoice["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(api::billing::notes::of_invoice(&mut conn, &id).await.unwrap().len(), 1);
        drop(conn);
        db.close().await;
        cut
    })
    .await;
}

#[tokio::test]
async fn a_final_invoice_is_paid_once_and_every_other_step_is_refused_with_a_reason() {
    let (server, invoice) = billed().await;
    let id = invoice["id"].as_str().unwrap();
    let (paid, void) = (format!("/v1/invoices/{id}/mark-paid"), format!("/v1/invoices/{id}/void"));
    let reference = json!({ "reference": "bank 4711" });
    assert_eq!(post(&server, &paid, "p0", json!({ "reference": " " })).await.0, 422);
    let (status, done) = post(&server, &paid, "p1", reference.clone()).await;
    assert_eq!((status, &done["status"], &done["due_minor"]), (200, &json!("paid"), &json!(0)), "{done}");
    assert_eq!(done["paid_minor"], 1_088);
    let (status, again) = post(&server, &paid, "p2", reference.clone()).await;
    assert_eq!(status, 409);
    assert!(again["detail"].as_str().unwrap().contains("is paid already"), "{again}");
    let (status, refused) = post(&server, &void, "v1", json!({ "reason": "wrong" })).await;
    assert_eq!(status, 409);
    assert!(refused["detail"].as_str().unwrap().contains("refund"), "{refused}");
    assert_eq!(finalize(&server, &invoice, "f2").await.0, 409);
    // A debit note after payment is due again.
    let first = trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0));
    server.lake.commit(vec![revised(&first, 12_000)]);
    note(&server, 0).await;
    assert_eq!(server.json(&format!("/v1/invoices/{id}")).await["due_minor"], 73);
    assert_eq!(post(&server, &paid, "p3", reference).await.1["due_minor"], 0);
}

#[tokio::test]
async fn a_void_invoice_is_owed_by_nobody_and_its_trips_are_billed_again() {
    let (server, invoice) = billed().await;
    let id = invoice["id"].as_str().unwrap();
    let void = format!("/v1/invoices/{id}/void");
    let (status, done) = post(&server, &void, "v1", json!({ "reason": "wrong address" })).await;
    assert_eq!((status, &done["status"], &done["due_minor"]), (200, &json!("void"), &json!(0)), "{done}");
    assert_eq!((&done["void_reason"], &done["number"]), (&json!("wrong address"), &json!("RL-000001")));
    let again = server.json("/v1/invoices?status=draft").await["data"][0].clone();
    assert_eq!(again["subtotal_minor"], 870);
    assert_eq!(post(&server, &void, "v2", json!({ "reason": "x" })).await.0, 409);
    let paid = format!("/v1/invoices/{id}/mark-paid");
    let (status, refused) = post(&server, &paid, "p1", json!({ "reference": "x" })).await;
    assert_eq!(status, 409);
    assert!(refused["detail"].as_str().unwrap().contains("void"), "{refused}");
    // A draft can be neither paid nor void.
    let draft = again["id"].as_str().unwrap();
    for path in ["void", "mark-paid"] {
        let body = if path == "void" { json!({ "reason": "x" }) } else { json!({ "reference": "x" }) };
        let (status, refused) = post(&server, &format!("/v1/invoices/{draft}/{path}"), path, body).await;
        assert_eq!(status, 409);
        assert!(refused["detail"].as_str().unwrap().contains("draft"), "{refused}");
    }
}
