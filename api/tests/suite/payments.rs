//! Payments through the sandbox gateway and from wallets, and refunds.

use std::{sync::Arc, time::Duration};

use api::billing::{gateway::Sandbox, upkeep::Upkeep};
use serde_json::{Value, json};

use super::{
    Server,
    billing::{finalize, only_invoice},
    follow::open,
};
use crate::fake_lake::trip;

async fn post(server: &Server, path: &str, key: &str, body: Value) -> (u16, Value) {
    let answer = server.send(&format!("POST {path}"), &[("idempotency-key", key)], Some(&body)).await;
    (answer.status, answer.json())
}

/// A server, its customer, and a final invoice of 10.88.
async fn billed() -> (Server, String, String) {
    let server = Server::start().await;
    let organization = server.customer("car-1").await;
    server.lake.commit(vec![trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0))]);
    let invoice = only_invoice(&server, |i| i["total_minor"] == 1_088).await;
    finalize(&server, &invoice, "finalize").await;
    (server, organization, invoice["id"].as_str().unwrap().to_owned())
}

fn by_card(invoice: &str, token: &str) -> Value {
    json!({ "invoice_id": invoice, "method": { "type": "card", "token": token } })
}

async fn invoice(server: &Server, id: &str) -> (String, i64) {
    let found = server.json(&format!("/v1/invoices/{id}")).await;
    (found["status"].as_str().unwrap().to_owned(), found["due_minor"].as_i64().unwrap())
}

#[tokio::test]
async fn a_card_pays_an_invoice_once_and_a_refund_gives_it_back() {
    let (server, _, id) = billed().await;
    let (status, paid) = post(&server, "/v1/payments", "p1", by_card(&id, "tok_ok")).await;
    assert_eq!((status, &paid["status"], &paid["amount_minor"]), (201, &json!("succeeded"), &json!(1_088)));
    assert_eq!(post(&server, "/v1/payments", "p1", by_card(&id, "tok_ok")).await.1, paid);
    assert_eq!(invoice(&server, &id).await, ("paid".to_owned(), 0));
    let (status, refused) = post(&server, "/v1/payments", "p2", by_card(&id, "tok_ok")).await;
    assert_eq!(status, 409);
    assert!(refused["detail"].as_str().unwrap().contains("is paid already"), "{refused}");

    let refund = |amount: i64| json!({ "payment_id": paid["id"], "amount_minor": amount, "reason": "sorry" });
    assert_eq!(post(&server, "/v1/refunds", "r0", refund(1_089)).await.0, 422);
    let (status, part) = post(&server, "/v1/refunds", "r1", refund(88)).await;
    assert_eq!((status, &part["status"]), (201, &json!("succeeded")), "{part}");
    assert_eq!(post(&server, "/v1/refunds", "r1", refund(88)).await.1, part);
    assert_eq!(invoice(&server, &id).await, ("finalized".to_owned(), 88));
    let rest = json!({ "payment_id": paid["id"], "reason": "all of it" });
    assert_eq!(post(&server, "/v1/refunds", "r2", rest.clone()).await.1["amount_minor"], 1_000);
    assert_eq!(post(&server, "/v1/refunds", "r3", rest).await.0, 409);
    let refunds = format!("/v1/refunds?payment_id={}", paid["id"].as_str().unwrap());
    assert_eq!(server.json(&refunds).await["data"].as_array().unwrap().len(), 2);
    // What was paid back in whole can be void.
    let void = format!("/v1/invoices/{id}/void");
    assert_eq!(post(&server, &void, "v", json!({ "reason": "wrong" })).await.0, 200);
}

#[tokio::test]
async fn cards_that_decline_leave_the_invoice_due_and_say_why() {
    let (server, _, id) = billed().await;
    for (token, error_type) in [
        ("tok_declined", "declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_of_nobody", "invalid_token"),
    ] {
        let (status, failed) = post(&server, "/v1/payments", token, by_card(&id, token)).await;
        assert_eq!((status, &failed["status"]), (201, &json!("failed")), "{failed}");
        assert_eq!(failed["error_type"], error_type);
        let refund = json!({ "payment_id": failed["id"], "reason": "x" });
        assert_eq!(post(&server, "/v1/refunds", error_type, refund).await.0, 409);
    }
    assert_eq!(invoice(&server, &id).await, ("finalized".to_owned(), 1_088));
    let page = server.json(&format!("/v1/payments?invoice_id={id}&limit=2")).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    assert!(page["next_cursor"].is_string());
}

#[tokio::test]
async fn an_action_of_the_customer_ends_the_payment_either_way() {
    let (server, _, id) = billed().await;
    for (token, ends, due) in [("tok_action_refused", "failed", 1_088), ("tok_action", "succeeded", 0)] {
        let (_, asked) = post(&server, "/v1/payments", token, by_card(&id, token)).await;
        assert_eq!(asked["status"], "requires_action", "{asked}");
        assert!(asked["action_url"].as_str().unwrap().contains(asked["id"].as_str().unwrap()));
        let (status, refused) =
            post(&server, "/v1/payments", &format!("{token}2"), by_card(&id, "tok_ok")).await;
        assert_eq!(status, 409);
        assert!(refused["detail"].as_str().unwrap().contains("under way"), "{refused}");
        let confirm = format!("/v1/payments/{}/confirm", asked["id"].as_str().unwrap());
        let (status, ended) = post(&server, &confirm, &format!("{token}3"), json!({})).await;
        assert_eq!((status, &ended["status"]), (200, &json!(ends)), "{ended}");
        assert_eq!(invoice(&server, &id).await.1, due);
        assert_eq!(post(&server, &confirm, &format!("{token}4"), json!({})).await.0, 409);
    }
}

#[tokio::test]
async fn an_action_that_nobody_takes_is_given_up_and_the_invoice_is_free_again() {
    let (server, _, id) = billed().await;
    let (_, asked) = post(&server, "/v1/payments", "p1", by_card(&id, "tok_action")).await;
    assert_eq!(asked["status"], "requires_action", "{asked}");
    server.clock.advance(Duration::from_secs(3_599));
    assert_eq!(post(&server, "/v1/payments", "p2", by_card(&id, "tok_ok")).await.0, 409);
    server.clock.advance(Duration::from_secs(1));
    let path = format!("/v1/payments/{}", asked["id"].as_str().unwrap());
    let ended = server.until(&path, |p| p["status"] != "requires_action").await;
    assert_eq!((&ended["status"], &ended["error_type"]), (&json!("failed"), &json!("action_expired")));
    assert_eq!(post(&server, &format!("{path}/confirm"), "c", json!({})).await.0, 409);
    assert_eq!(invoice(&server, &id).await, ("finalized".to_owned(), 1_088));
    let (status, paid) = post(&server, "/v1/payments", "p3", by_card(&id, "tok_ok")).await;
    assert_eq!((status, &paid["status"]), (201, &json!("succeeded")));
}

#[tokio::test]
async fn a_gateway_that_falls_silent_is_asked_again_and_nobody_pays_twice() {
    let (server, _, id) = billed().await;
    for (token, ends, due) in [("tok_timeout", "failed", 1_088), ("tok_timeout_charged", "succeeded", 0)] {
        let (status, pending) = post(&server, "/v1/payments", token, by_card(&id, token)).await;
        assert_eq!((status, &pending["status"]), (201, &json!("pending")), "{pending}");
        for (path, body) in [
            ("/v1/payments".to_owned(), by_card(&id, "tok_ok")),
            (format!("/v1/invoices/{id}/void"), json!({ "reason": "x" })),
            (format!("/v1/invoices/{id}/mark-paid"), json!({ "reference": "x" })),
        ] {
            let (status, refused) = post(&server, &path, &format!("{token}{path}"), body).await;
            assert_eq!(status, 409, "{refused}");
            assert!(refused["detail"].as_str().unwrap().contains("under way"), "{refused}");
        }
        server.clock.advance(Duration::from_secs(61));
        let path = format!("/v1/payments/{}", pending["id"].as_str().unwrap());
        let ended = server.until(&path, |p| p["status"] != "pending").await;
        assert_eq!(ended["status"], ends, "{ended}");
        assert_eq!(invoice(&server, &id).await.1, due);
        let again = post(&server, "/v1/payments", token, by_card(&id, token)).await.1;
        assert_eq!(again, ended, "the same key tells how it ended");
    }
}

#[tokio::test]
async fn a_payment_left_pending_by_a_process_that_died_ends_once_in_the_next() {
    let (server, _, id) = billed().await;
    post(&server, "/v1/payments", "p", by_card(&id, "tok_timeout_charged")).await;
    server.tasks.stop(Duration::from_secs(10)).await.unwrap();
    server.handle.close().await;
    server.clock.advance(Duration::from_secs(61));
    for _ in 0..2 {
        let db = open(&server.place).await;
        let upkeep = Upkeep { db: db.clone(), gateway: Arc::new(Sandbox), clock: server.clock.clone() };
        upkeep.look().await.unwrap();
        let mut conn = db.read().await.unwrap();
        let found = api::billing::invoicing::get(&mut conn, &id.parse().unwrap()).await.unwrap();
        assert_eq!((found.paid_minor, found.due_minor), (1_088, 0));
        drop(conn);
        db.close().await;
    }
}

#[tokio::test]
async fn a_wallet_pays_what_it_has_and_takes_a_refund() {
    let (server, organization, id) = billed().await;
    let by_wallet = json!({ "invoice_id": id, "method": { "type": "wallet" } });
    let (status, refused) = post(&server, "/v1/payments", "w0", by_wallet.clone()).await;
    assert_eq!(status, 422);
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("has no wallet"), "{refused}");
    let (_, wallet) = post(&server, "/v1/wallets", "open", json!({ "organization_id": organization })).await;
    let wallet = wallet["id"].as_str().unwrap();
    let (status, refused) = post(&server, "/v1/payments", "w1", by_wallet.clone()).await;
    assert_eq!(status, 409);
    assert!(refused["detail"].as_str().unwrap().contains("0.00 EUR available"), "{refused}");
    let top_up = json!({ "amount_minor": 2_000, "reference": "bank" });
    post(&server, &format!("/v1/wallets/{wallet}/top-ups"), "t", top_up).await;
    let mut part = by_wallet.clone();
    part["amount_minor"] = json!(1_000);
    let (status, paid) = post(&server, "/v1/payments", "w2", part).await;
    assert_eq!((status, &paid["status"], &paid["method"]), (201, &json!("succeeded"), &json!("wallet")));
    assert_eq!(invoice(&server, &id).await, ("finalized".to_owned(), 88));
    post(&server, "/v1/payments", "w3", by_wallet).await;
    assert_eq!(invoice(&server, &id).await, ("paid".to_owned(), 0));
    let refund = json!({ "payment_id": paid["id"], "amount_minor": 400, "reason": "x" });
    assert_eq!(post(&server, "/v1/refunds", "r", refund).await.1["status"], "succeeded");
    let wallet = server.json(&format!("/v1/wallets/{wallet}")).await;
    assert_eq!(wallet["balance_minor"], 2_000 - 1_088 + 400);
}
