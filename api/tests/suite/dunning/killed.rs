//! Dunners that are killed, that meet, and cases made anew from their events.

use super::*;

/// Points at which a dunner is killed.
const KILLS: usize = 30;

/// A final invoice whose card was declined, due for a step that does everything, its server stopped; its id.
async fn prepared() -> (Place, Arc<ManualClock>, String) {
    let terms = json!({
        "payment_terms_days": 14, "late_fee": { "type": "fixed", "amount_minor": 500, "currency": "EUR" },
        "steps": [
            { "after_days": 1, "actions": ["retry_payment", "late_fee", "suspend_bookings", "reminder"] },
            { "after_days": 3, "actions": ["reminder", "mark_uncollectible"] }],
    });
    let (server, _, id) = billed(Some(terms)).await;
    let card = json!({ "invoice_id": id, "method": { "type": "card", "token": "tok_declined" } });
    assert_eq!(post(&server, "/v1/payments", "p", card).await.1["status"], "failed");
    let clock = server.clock.clone();
    let place = stopped(server).await;
    clock.advance(Duration::from_secs(TO_DUE_S + DAY_S));
    (place, clock, id)
}

/// Each thing once, whatever came in between.
async fn assert_once(stage: &Stage, what: &str) {
    let events = stage.events().await;
    for (event_type, count) in [
        ("InvoiceOverdue", 1),
        ("DunningStarted", 1),
        ("DunningStepTaken", 1),
        // That of the customer, and that of the step.
        ("PaymentBegun", 2),
        ("PaymentFailed", 2),
        ("DunningRetryAnswered", 1),
        ("InvoiceChargesChanged", 1),
    ] {
        assert_eq!(events.get(event_type), Some(&count), "{event_type}, {what}: {events:?}");
    }
    assert_eq!(kinds(&stage.told().await), ["invoice_reminder"], "{what}");
    assert!(stage.gateway.charged().len() <= 1, "{what}");
    let case = stage.case().await.case;
    assert_eq!((case.late_fee_minor, case.notice_count), (Some(500), 1), "{what}");
    assert!(case.is_suspending_bookings, "{what}");
}

#[tokio::test]
async fn killed_at_any_await_a_step_is_taken_once() {
    let (clean, clock, id) = prepared().await;
    let start_us = service::clock::Clock::now_us(clock.as_ref());
    let declined = [Ok(Outcome::Failed(ErrorType::Declined))];
    killed_at(KILLS, async |polls| {
        let clock = ManualClock::at(start_us);
        let stage = Stage::at(clean.copy().await, clock, (&id, &declined)).await;
        let cut = killed_after(polls, stage.dunner().look()).await;
        let Stage { place, db, clock, gateway, invoice } = stage;
        db.close().await;

        let db = open(&place).await;
        let stage = Stage { place, db, clock, gateway, invoice };
        stage.look().await;
        // What was left with the gateway is asked about.
        stage.wait(61);
        stage.upkeep().look().await.unwrap();
        stage.look().await;
        assert_once(&stage, &format!("killed after {polls} polls")).await;
        stage.db.close().await;
        cut
    })
    .await;
}

#[tokio::test]
async fn of_two_dunners_one_takes_the_step() {
    let (place, clock, id) = prepared().await;
    let declined = [Ok(Outcome::Failed(ErrorType::Declined))];
    let other = open(&place).await;
    let stage = Stage::at(place, clock, (&id, &declined)).await;
    let one = stage.dunner();
    let two = Dunner { db: other.clone(), gateway: stage.gateway.clone(), clock: stage.clock.clone() };
    let (first, second) = tokio::join!(one.look(), two.look());
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    assert_once(&stage, "two at once").await;
    assert_eq!(stage.gateway.charged().len(), 1);
    other.close().await;
}

#[tokio::test]
async fn cases_and_policies_are_made_anew_from_their_events() {
    let (place, clock, id) = prepared().await;
    let declined = [Ok(Outcome::Failed(ErrorType::Declined))];
    let stage = Stage::at(place, clock, (&id, &declined)).await;
    stage.look().await;
    stage.wait(2 * DAY_S);
    stage.look().await;
    assert_eq!(stage.taken().await.len(), 2);
    let before = rows(&stage.place).await;
    assert!(!before["dunning_cases"].is_empty() && !before["dunning_policies"].is_empty());
    let mut tx = stage.db.write().await.unwrap();
    for spoil in [
        "UPDATE dunning_cases SET next_us = 1, is_suspending = 0, data = '{}'",
        "DELETE FROM dunning_policies",
        "UPDATE invoices SET due_us = 5, overdue_us = NULL, uncollectible_us = NULL",
    ] {
        sqlx::query(spoil).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_ne!(rows(&stage.place).await, before);
    rebuild(&stage.db, &[Projection::Dunning, Projection::Invoices]).await.unwrap();
    assert_eq!(rows(&stage.place).await, before);
    stage.wait(1_000 * DAY_S);
    assert_eq!(stage.dunner().look().await.unwrap(), 0);
}
