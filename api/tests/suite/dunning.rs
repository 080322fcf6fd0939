//! Invoices that are not paid when they are due: reminders, retries, late fees, suspension, and their end.

mod killed;
mod stage;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{
    Projection,
    billing::{
        dunning::{
            self,
            types::{ActionOutcome, Dunning, DunningEnd, DunningStatus},
            worker::Dunner,
        },
        gateway::{Charge, ErrorType, Gateway, NoAnswer, Outcome},
        upkeep::Upkeep,
    },
    db::Db,
    rebuild,
};
use async_trait::async_trait;
use serde_json::{Value, json};
use service::clock::ManualClock;
use sqlx::Row;

use super::{
    Server,
    billing::{finalize, only_invoice},
    booking_saga::stopped,
    bookings::wish,
    follow::{killed_after, killed_at, open},
    rebuild::rows,
};
use crate::{fake_lake::trip, place::Place};
use stage::{DAY_S, Stage, TO_DUE_S, billed, hard_terms, kinds, post, put_policy, steps, tried};

#[tokio::test]
async fn an_invoice_comes_due_and_is_overdue_until_it_is_paid() {
    let (server, organization, id) = billed(None).await;
    let path = format!("/v1/invoices/{id}");
    let before = server.json(&path).await;
    assert_eq!((&before["due_at"], &before["is_overdue"]), (&json!("2026-12-07T23:00:00Z"), &json!(false)));
    let case = server.json(&format!("{path}/dunning")).await;
    assert_eq!((&case["status"], &case["next_step"]["number"]), (&json!("active"), &json!(1)), "{case}");
    assert_eq!(case["next_step"]["at"], "2026-12-08T23:00:00Z");
    assert_eq!(server.json("/v1/invoices?is_overdue=true").await["data"], json!([]));

    server.clock.advance(Duration::from_secs(TO_DUE_S));
    let overdue = server.until(&path, |i| i["is_overdue"] == true).await;
    assert_eq!(overdue["overdue_at"], "2026-12-07T23:00:00Z");
    assert!(overdue["version"].as_i64() > before["version"].as_i64(), "its ETag tells");
    assert_eq!(server.json("/v1/invoices?is_overdue=true").await["data"][0]["id"], id.as_str());
    assert_eq!(server.json("/v1/invoices?is_overdue=false").await["data"], json!([]));
    assert_eq!(server.get("/v1/invoices?is_overdue=maybe").await.status, 400);

    server.clock.advance(Duration::from_secs(DAY_S));
    let told = format!("/v1/notifications?organization_id={organization}");
    let told = server.until(&told, |p| p["data"].get(0).is_some()).await;
    let (kind, body) = (&told["data"][0]["kind"], told["data"][0]["body"].as_str().unwrap());
    assert_eq!(kind, "invoice_reminder");
    assert!(body.contains("RL-000001: 10.88 EUR was due on 2026-12-07"), "{body}");
    assert!(body.contains("No card or sufficient credit"), "{body}");
    assert_eq!(told["data"][0]["subject_id"], format!("{id}/dunning/1"));

    let (status, paid) =
        post(&server, &format!("{path}/mark-paid"), "p", json!({ "reference": "bank" })).await;
    assert_eq!(
        (status, &paid["is_overdue"], &paid["overdue_at"]),
        (200, &json!(false), &Value::Null),
        "{paid}"
    );
    let case = server.json(&format!("{path}/dunning")).await;
    assert_eq!((&case["status"], &case["end_reason"]), (&json!("ended"), &json!("paid")));
    assert_eq!(case["next_step"], Value::Null);
    // Whatever time passes, no more is said.
    let stage = Stage::of(server, &id, &[]).await;
    stage.wait(100 * DAY_S);
    assert_eq!(stage.dunner().look().await.unwrap(), 0);
    assert_eq!(stage.told().await.len(), 1);
    // Overdue, started, one step, ended: each once.
    let events = stage.events().await;
    for once in ["InvoiceOverdue", "DunningOpened", "DunningStarted", "DunningStepTaken", "DunningEnded"] {
        assert_eq!(events.get(once), Some(&1), "{once} in {events:?}");
    }
}

#[tokio::test]
async fn after_a_downtime_steps_come_one_at_a_time_in_their_distance() {
    let (server, _, id) = billed(None).await;
    let stage = Stage::of(server, &id, &[]).await;
    stage.wait(200 * DAY_S);
    for (count, days) in [(1, 6), (2, 7), (3, 16)] {
        stage.look().await;
        assert_eq!(stage.told().await.len(), count);
        stage.wait(days * DAY_S - 1);
        stage.look().await;
        assert_eq!(stage.told().await.len(), count, "not a second before");
        stage.wait(1);
    }
    stage.look().await;
    let taken = stage.taken().await;
    assert_eq!(taken.len(), 4);
    assert_eq!(taken[3], [("mark_uncollectible", ActionOutcome::Done), ("reminder", ActionOutcome::Done)]);
    assert!(stage.told().await[3].1.contains("marked as uncollectible"));
    stage.wait(1_000 * DAY_S);
    assert_eq!(stage.dunner().look().await.unwrap(), 0, "there is no fifth");
    let mut conn = stage.db.read().await.unwrap();
    let invoice = api::billing::invoicing::get(&mut conn, &id.parse().unwrap()).await.unwrap();
    assert!(invoice.is_overdue && invoice.uncollectible_at.is_some() && invoice.due_minor == 1_088);
}

#[tokio::test]
async fn a_card_that_declined_for_now_is_tried_again_and_pays() {
    let stage = tried(
        "tok_insufficient_funds",
        &[Ok(Outcome::Failed(ErrorType::InsufficientFunds)), Ok(Outcome::Succeeded)],
    )
    .await;
    stage.look().await;
    let charged = stage.gateway.charged();
    assert_eq!((charged.len(), charged[0].token.as_str()), (1, "tok_insufficient_funds"));
    assert_eq!(
        stage.taken().await,
        [[("retry_payment", ActionOutcome::Done), ("reminder", ActionOutcome::Deferred)]]
    );
    let told = stage.told().await;
    assert_eq!(kinds(&told), ["invoice_reminder"], "it was declined");
    assert!(told[0].1.contains("could not be charged now"), "{told:?}");

    stage.wait(6 * DAY_S);
    stage.look().await;
    assert_eq!(stage.gateway.charged().len(), 2);
    let case = stage.case().await.case;
    assert_eq!((case.status, case.end_reason), (DunningStatus::Ended, Some(DunningEnd::Paid)));
    assert_eq!(case.taken.len(), 2);
    assert_eq!(stage.told().await.len(), 1, "who has paid is not reminded");
}

#[tokio::test]
async fn a_card_that_was_refused_for_good_is_not_charged_again() {
    let stage = tried("tok_revoked", &[]).await;
    stage.look().await;
    assert_eq!(
        stage.taken().await,
        [[("retry_payment", ActionOutcome::NotRetryable), ("reminder", ActionOutcome::Done)]]
    );
    assert!(stage.told().await[0].1.contains("please pay by another"));
    assert!(stage.gateway.charged().is_empty());

    // One that is refused for good when it is tried again is told of, though the step has no reminder.
    let stage = tried(
        "tok_declined",
        &[Ok(Outcome::Failed(ErrorType::Declined)), Ok(Outcome::Failed(ErrorType::CardRevoked))],
    )
    .await;
    stage.look().await;
    stage.wait(6 * DAY_S);
    stage.look().await;
    let told = stage.told().await;
    assert_eq!(kinds(&told), ["invoice_reminder", "invoice_payment_refused"]);
    assert!(told[1].1.contains("refused for good"), "{told:?}");
}

#[tokio::test]
async fn a_retry_that_needs_the_customer_tells_where_and_is_left_to_them() {
    let url = "https://bank.example/3ds".to_owned();
    let stage = tried("tok_declined", &[Ok(Outcome::RequiresAction(url))]).await;
    stage.look().await;
    let told = stage.told().await;
    assert_eq!(kinds(&told), ["invoice_payment_action"]);
    assert!(told[0].1.contains("confirmed at https://bank.example/3ds"), "{told:?}");
    // They do nothing: the payment is given up, and told of; the card is not charged without them.
    stage.wait(3_600);
    stage.upkeep().look().await.unwrap();
    assert_eq!(kinds(&stage.told().await), ["invoice_payment_action", "invoice_payment_refused"]);
    stage.wait(6 * DAY_S);
    stage.look().await;
    assert_eq!(stage.taken().await[1], [("retry_payment", ActionOutcome::NotRetryable)]);
    assert_eq!(stage.gateway.charged().len(), 1);
}

#[tokio::test]
async fn a_silent_gateway_is_asked_later_and_the_reminder_follows() {
    let stage = tried("tok_declined", &[Err(NoAnswer)]).await;
    stage.look().await;
    assert!(stage.told().await.is_empty(), "nobody knows yet");
    stage.wait(61);
    stage.upkeep().look().await.unwrap();
    assert_eq!(kinds(&stage.told().await), ["invoice_reminder"]);
    assert_eq!(stage.gateway.charged().len(), 1);
}

#[tokio::test]
async fn a_wallet_with_enough_pays_and_nothing_else_of_the_step_is_done() {
    let terms = json!({
        "payment_terms_days": 14, "late_fee": { "type": "percent", "percent": "10" },
        "steps": [{ "after_days": 0, "actions": ["reminder", "late_fee", "retry_payment", "suspend_bookings"] }],
    });
    let (server, organization, id) = billed(Some(terms)).await;
    let (_, wallet) = post(&server, "/v1/wallets", "w", json!({ "organization_id": organization })).await;
    let top_up = json!({ "amount_minor": 1_088, "reference": "bank" });
    post(&server, &format!("/v1/wallets/{}/top-ups", wallet["id"].as_str().unwrap()), "t", top_up).await;
    let stage = Stage::of(server, &id, &[]).await;
    stage.wait(TO_DUE_S);
    stage.look().await;
    let left = |action| (action, ActionOutcome::NotNeeded);
    assert_eq!(
        stage.taken().await,
        [[
            ("retry_payment", ActionOutcome::Done),
            left("late_fee"),
            left("suspend_bookings"),
            left("reminder")
        ]]
    );
    let case = stage.case().await.case;
    assert_eq!((case.end_reason, case.late_fee_minor), (Some(DunningEnd::Paid), None));
    assert!(!case.is_suspending_bookings && stage.told().await.is_empty());
}

#[tokio::test]
async fn bookings_are_suspended_and_a_late_fee_owed_until_the_invoice_is_paid() {
    let (server, organization, id) = billed(Some(hard_terms())).await;
    let (_, wallet) = post(&server, "/v1/wallets", "w", json!({ "organization_id": organization })).await;
    let top_up = json!({ "amount_minor": 1_000, "reference": "bank" });
    post(&server, &format!("/v1/wallets/{}/top-ups", wallet["id"].as_str().unwrap()), "t", top_up).await;
    server.clock.advance(Duration::from_secs(TO_DUE_S));
    let path = format!("/v1/invoices/{id}/dunning");
    let case = server.until(&path, |c| c["is_suspending_bookings"] == true).await;
    // 10 % of 10.88, half up.
    assert_eq!(case["late_fee_minor"], 109);
    let draft = server.json("/v1/invoices?status=draft").await["data"][0].clone();
    assert_eq!((&draft["total_minor"], &draft["tax_minor"]), (&json!(109), &json!(0)), "{draft}");
    let charges = server.json(&format!("/v1/invoices/{}", draft["id"].as_str().unwrap())).await;
    assert_eq!(charges["charges"][0]["description"], "Late fee of invoice RL-000001");

    let mut wanted = wish(13, 14);
    (wanted["from"], wanted["to"]) = (json!("2026-12-08T13:00:00Z"), json!("2026-12-08T14:00:00Z"));
    let (status, refused) = post(&server, "/v1/bookings", "b1", wanted.clone()).await;
    assert_eq!(
        (status, &refused["type"]),
        (409, &json!("urn:roadlake:problem:bookings-suspended")),
        "{refused}"
    );
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("RL-000001") && detail.contains(&id) && detail.contains("10.88 EUR"), "{detail}");

    server.clock.advance(Duration::from_secs(7 * DAY_S));
    let invoice = format!("/v1/invoices/{id}");
    server.until(&invoice, |i| i["uncollectible_at"].is_string()).await;
    let (status, paid) =
        post(&server, &format!("{invoice}/mark-paid"), "p", json!({ "reference": "bank" })).await;
    assert_eq!((status, &paid["uncollectible_at"]), (200, &Value::Null), "{paid}");
    (wanted["from"], wanted["to"]) = (json!("2026-12-15T13:00:00Z"), json!("2026-12-15T14:00:00Z"));
    let (status, booked) = post(&server, "/v1/bookings", "b2", wanted).await;
    assert_eq!((status, &booked["status"]), (201, &json!("confirmed")), "at once: {booked}");
    assert_eq!(
        server.json("/v1/invoices?status=draft").await["data"][0]["total_minor"],
        109,
        "the fee stays"
    );
}

#[tokio::test]
async fn an_invoice_made_void_was_never_late_and_its_fee_is_taken_back() {
    let (server, _, id) = billed(Some(hard_terms())).await;
    server.clock.advance(Duration::from_secs(TO_DUE_S));
    let path = format!("/v1/invoices/{id}");
    server.until(&format!("{path}/dunning"), |c| c["late_fee_minor"] == 109).await;
    let (status, done) = post(&server, &format!("{path}/void"), "v", json!({ "reason": "wrong" })).await;
    assert_eq!((status, &done["is_overdue"]), (200, &json!(false)), "{done}");
    let case = server.json(&format!("{path}/dunning")).await;
    assert_eq!((&case["end_reason"], &case["late_fee_minor"]), (&json!("voided"), &Value::Null));
    assert_eq!(case["is_suspending_bookings"], false);
    let drafts = server.json("/v1/invoices?status=draft").await["data"].clone();
    let totals: Vec<&Value> = drafts.as_array().unwrap().iter().map(|i| &i["total_minor"]).collect();
    assert_eq!(totals, [&json!(1_088)], "the trip is billed anew, where the fee was");
}

#[tokio::test]
async fn a_refund_makes_it_due_again_from_the_first_step() {
    let (server, _, id) = billed(Some(hard_terms())).await;
    let card = json!({ "invoice_id": id, "method": { "type": "card", "token": "tok_ok" } });
    let (_, paid) = post(&server, "/v1/payments", "p", card).await;
    server.clock.advance(Duration::from_secs(TO_DUE_S + 10 * DAY_S));
    let refund = json!({ "payment_id": paid["id"], "amount_minor": 88, "reason": "sorry" });
    assert_eq!(post(&server, "/v1/refunds", "r", refund).await.0, 201);
    let invoice = server.json(&format!("/v1/invoices/{id}")).await;
    // It is midnight there, the 18th begins.
    assert_eq!(
        (&invoice["due_at"], &invoice["is_overdue"], &invoice["due_minor"]),
        (&json!("2027-01-01T23:00:00Z"), &json!(false), &json!(88)),
        "{invoice}"
    );
    let stage = Stage::of(server, &id, &[]).await;
    stage.wait(15 * DAY_S);
    stage.look().await;
    let case = stage.case().await.case;
    assert_eq!((case.taken.len(), case.late_fee_minor), (1, Some(9)));
    assert!(case.is_suspending_bookings);
}

#[tokio::test]
async fn a_paused_invoice_is_overdue_and_left_alone_until_it_is_resumed() {
    let (server, _, id) = billed(Some(steps(&[(1, &["reminder"]), (3, &["reminder"])]))).await;
    let path = format!("/v1/invoices/{id}/dunning");
    let (pause, resume) = (format!("{path}/pause"), format!("{path}/resume"));
    assert_eq!(post(&server, &pause, "p0", json!({ "reason": " " })).await.0, 422);
    let (status, refused) = post(&server, &resume, "r0", json!({})).await;
    assert_eq!(status, 409);
    assert!(refused["detail"].as_str().unwrap().contains("cannot be resumed"), "{refused}");
    let (status, paused) = post(&server, &pause, "p1", json!({ "reason": "disputed" })).await;
    assert_eq!((status, &paused["status"], &paused["next_step"]), (200, &json!("paused"), &Value::Null));
    assert_eq!(post(&server, &pause, "p2", json!({ "reason": "again" })).await.0, 409);
    let audit = server.json("/v1/audit-log").await;
    let noted = audit["data"].as_array().unwrap();
    let is_noted = |e: &Value| e["path"] == pause.as_str() && e["result"] == "done";
    assert_eq!(noted.iter().filter(|e| is_noted(e)).count(), 1, "{audit}");

    server.clock.advance(Duration::from_secs(TO_DUE_S + 30 * DAY_S));
    server.until(&format!("/v1/invoices/{id}"), |i| i["is_overdue"] == true).await;
    let (status, resumed) = post(&server, &resume, "r1", json!({})).await;
    assert_eq!((status, &resumed["status"]), (200, &json!("active")), "{resumed}");
    server.until(&path, |c| c["taken"].as_array().unwrap().len() == 1).await;
    let stage = Stage::of(server, &id, &[]).await;
    stage.look().await;
    assert_eq!(stage.taken().await.len(), 1, "the second keeps its distance");
    stage.wait(2 * DAY_S);
    stage.look().await;
    assert_eq!(stage.taken().await.len(), 2);
}

#[tokio::test]
async fn policies_are_versioned_inherited_and_stay_with_what_is_final() {
    let (server, organization, id) = billed(None).await;
    let default = server.get("/v1/dunning-policy").await;
    assert_eq!(default.header("etag"), Some("\"0\""));
    assert_eq!(
        (&default.json()["is_inherited"], &default.json()["terms"]["payment_terms_days"]),
        (&json!(true), &json!(14))
    );
    let own = format!("/v1/organizations/{organization}/dunning-policy");
    let mut terms = steps(&[(2, &["reminder"])]);
    assert_eq!(server.send(&format!("PUT {own}"), &[], Some(&terms)).await.status, 428);
    assert_eq!(put_policy(&server, &own, 1, &terms).await.0, 412);
    let bad = json!({ "payment_terms_days": -1, "steps": [{ "after_days": 1, "actions": [] }] });
    let (status, refused) = put_policy(&server, &own, 0, &bad).await;
    assert_eq!((status, refused["errors"].as_array().unwrap().len()), (422, 2), "{refused}");
    terms["payment_terms_days"] = json!(30);
    let (status, first) = put_policy(&server, "/v1/dunning-policy", 0, &terms).await;
    assert_eq!((status, &first["version"], &first["is_inherited"]), (200, &json!(1), &json!(false)));
    let inherited = server.json(&own).await;
    assert_eq!((&inherited["version"], &inherited["is_inherited"]), (&json!(0), &json!(true)));
    assert_eq!(inherited["terms"]["payment_terms_days"], 30);
    terms["payment_terms_days"] = json!(7);
    assert_eq!(put_policy(&server, &own, 0, &terms).await.1["version"], 1);
    assert_eq!(put_policy(&server, &own, 0, &terms).await.0, 412, "another was faster");
    assert_eq!(server.json(&own).await["terms"]["payment_terms_days"], 7);
    // What was final before keeps what counted then.
    let case = server.json(&format!("/v1/invoices/{id}/dunning")).await;
    assert_eq!((&case["policy_version"], &case["terms"]["payment_terms_days"]), (&json!(0), &json!(14)));
    server.lake.commit(vec![trip("b", "car-1", "2026-10-02T08:00:00Z", (10_000, 3_600, 0))]);
    let draft =
        server.until("/v1/invoices?status=draft", |p| p["data"].get(0).is_some()).await["data"][0].clone();
    let (_, done) = finalize(&server, &draft, "f2").await;
    assert_eq!(done["due_at"], "2026-11-30T23:00:00Z");
    let case = server.json(&format!("/v1/invoices/{}/dunning", draft["id"].as_str().unwrap())).await;
    assert_eq!((&case["policy_version"], &case["policy_organization_id"]), (&json!(1), &json!(organization)));
    let gone = server.send(&format!("DELETE {own}"), &[("if-match", "\"1\"")], None).await;
    assert_eq!(
        (gone.status, &gone.json()["version"], &gone.json()["is_inherited"]),
        (200, &json!(2), &json!(true))
    );
    assert_eq!(server.json(&own).await["terms"]["payment_terms_days"], 30);
    assert_eq!(server.get("/v1/organizations/org_none/dunning-policy").await.status, 404);
}
