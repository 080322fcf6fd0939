//! Wallets: the ledger sums to zero, balances equal their entries, and holds never overdraw.

use std::time::Duration;

use api::{
    billing::{
        wallet_types::{Capture, HoldStatus, NewHold, NewWallet, TopUp},
        wallets,
    },
    db::Db,
    users::{self, types::NewOrganization},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::time::Timestamp;

use super::Server;

async fn post(server: &Server, path: &str, key: &str, body: Value) -> (u16, Value) {
    let answer = server.send(&format!("POST {path}"), &[("idempotency-key", key)], Some(&body)).await;
    (answer.status, answer.json())
}

/// A server, and a wallet with so much in it.
async fn funded(amount_minor: i64) -> (Server, String) {
    let server = Server::start().await;
    let organization = server.customer("car-1").await;
    let (status, wallet) =
        post(&server, "/v1/wallets", "open", json!({ "organization_id": organization })).await;
    assert_eq!(status, 201, "{wallet}");
    let id = wallet["id"].as_str().unwrap().to_owned();
    let top_up = json!({ "amount_minor": amount_minor, "reference": "bank 1" });
    let (status, wallet) = post(&server, &format!("/v1/wallets/{id}/top-ups"), "fund", top_up).await;
    assert_eq!((status, &wallet["available_minor"]), (201, &json!(amount_minor)), "{wallet}");
    (server, id)
}

#[tokio::test]
async fn credit_is_held_taken_and_freed_and_each_act_happens_once() {
    let (server, id) = funded(1_000).await;
    let hold = json!({ "wallet_id": id, "amount_minor": 600, "expires_in_s": 60, "reason": "deposit" });
    let (status, first) = post(&server, "/v1/wallet-holds", "h1", hold.clone()).await;
    assert_eq!((status, &first["status"]), (201, &json!("held")), "{first}");
    assert_eq!(post(&server, "/v1/wallet-holds", "h1", hold.clone()).await.1, first);
    let (status, refused) = post(&server, "/v1/wallet-holds", "h2", hold).await;
    assert_eq!(status, 409);
    assert!(refused["detail"].as_str().unwrap().contains("4.00 EUR available and 6.00 EUR"), "{refused}");

    let capture = format!("/v1/wallet-holds/{}/capture", first["id"].as_str().unwrap());
    assert_eq!(post(&server, &capture, "c0", json!({ "amount_minor": 601 })).await.0, 422);
    let (status, taken) = post(&server, &capture, "c1", json!({ "amount_minor": 450 })).await;
    assert_eq!((status, &taken["status"], &taken["captured_minor"]), (200, &json!("captured"), &json!(450)));
    assert_eq!(post(&server, &capture, "c1", json!({ "amount_minor": 450 })).await.1, taken);
    let (status, refused) = post(&server, &capture, "c2", json!({})).await;
    assert_eq!(status, 409);
    assert!(refused["detail"].as_str().unwrap().contains("captured already"), "{refused}");
    let wallet = server.json(&format!("/v1/wallets/{id}")).await;
    assert_eq!((&wallet["balance_minor"], &wallet["held_minor"]), (&json!(550), &json!(0)));
    let entries = server.json(&format!("/v1/wallets/{id}/entries")).await;
    let mut amounts: Vec<i64> =
        entries["data"].as_array().unwrap().iter().map(|e| e["amount_minor"].as_i64().unwrap()).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [-450, 1_000]);
    for (body, field) in [
        (json!({ "wallet_id": id, "amount_minor": 0, "expires_in_s": 0, "reason": "" }), "expires_in_s"),
        (json!({ "wallet_id": "wal_x", "amount_minor": 1, "expires_in_s": 1, "reason": "x" }), "wallet_id"),
    ] {
        let (status, problem) = post(&server, "/v1/wallet-holds", field, body).await;
        assert_eq!(status, 422);
        assert!(problem["errors"].to_string().contains(field), "{problem}");
    }
}

#[tokio::test]
async fn two_holds_on_the_last_credit_at_once_one_wins() {
    let (server, id) = funded(1_000).await;
    let hold = json!({ "wallet_id": id, "amount_minor": 700, "expires_in_s": 60, "reason": "last" });
    let (one, two) = tokio::join!(
        post(&server, "/v1/wallet-holds", "one", hold.clone()),
        post(&server, "/v1/wallet-holds", "two", hold)
    );
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{one:?} {two:?}");
    assert_eq!(server.json(&format!("/v1/wallets/{id}")).await["held_minor"], 700);
}

#[tokio::test]
async fn a_hold_expires_and_its_credit_is_free_for_the_next() {
    let (server, id) = funded(1_000).await;
    let hold = json!({ "wallet_id": id, "amount_minor": 700, "expires_in_s": 60, "reason": "short" });
    let (_, first) = post(&server, "/v1/wallet-holds", "one", hold.clone()).await;
    server.clock.advance(Duration::from_secs(60));
    let release = format!("/v1/wallet-holds/{}/release", first["id"].as_str().unwrap());
    assert_eq!(post(&server, &release, "r", json!({})).await.0, 409);
    assert_eq!(post(&server, "/v1/wallet-holds", "two", hold).await.0, 201);
    let path = format!("/v1/wallet-holds/{}", first["id"].as_str().unwrap());
    assert_eq!(server.json(&path).await["status"], "expired");
    let held = server.json(&format!("/v1/wallets/{id}")).await["held_minor"].clone();
    assert_eq!(held, 700, "only the second");
}

/// What a user may try, with amounts and times that often do not fit.
#[derive(Debug, Clone)]
enum Act {
    TopUp(i64),
    Hold(i64, i64),
    Capture(usize, Option<i64>),
    Release(usize),
    Wait(i64),
    Expire,
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (1_i64..2_000).prop_map(Act::TopUp),
        (1_i64..1_500, 1_i64..100).prop_map(|(a, s)| Act::Hold(a, s)),
        (0_usize..6, prop::option::of(1_i64..1_500)).prop_map(|(i, a)| Act::Capture(i, a)),
        (0_usize..6).prop_map(Act::Release),
        (1_i64..80).prop_map(Act::Wait),
        Just(Act::Expire),
    ]
}

async fn act_out(acts: Vec<Act>) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("api.db")).await.unwrap();
    let mut now = Timestamp(1_795_000_000_000_000);
    let mut tx = db.write().await.unwrap();
    let new = NewOrganization { name: "A".into(), currency: "EUR".into(), time_zone: "UTC".into() };
    let organization_id = users::create(&mut tx, now, new).await.unwrap().id.to_string();
    let wallet = wallets::create(&mut tx, now, &NewWallet { organization_id }).await.unwrap().id;
    tx.commit().await.unwrap();
    let mut holds = Vec::new();
    for act in acts {
        let mut tx = db.write().await.unwrap();
        let is_done = match act {
            Act::TopUp(amount_minor) => {
                let top_up = TopUp { amount_minor, reference: "t".into() };
                wallets::top_up(&mut tx, now, (&wallet, &top_up)).await.is_ok()
            }
            Act::Hold(amount_minor, expires_in_s) => {
                let wallet_id = wallet.to_string();
                let new = NewHold { wallet_id, amount_minor, expires_in_s, reason: "h".into() };
                match wallets::hold(&mut tx, now, &new).await {
                    Ok(hold) => {
                        holds.push(hold.id);
                        true
                    }
                    Err(_) => false,
                }
            }
            Act::Capture(index, amount_minor) => match holds.get(index) {
                Some(id) => wallets::capture(&mut tx, now, (id, &Capture { amount_minor })).await.is_ok(),
                None => false,
            },
            Act::Release(index) => match holds.get(index) {
                Some(id) => wallets::release(&mut tx, now, id).await.is_ok(),
                None => false,
            },
            Act::Wait(seconds) => {
                now = now.plus_us(seconds * 1_000_000);
                false
            }
            Act::Expire => wallets::expire_due(&mut tx, now).await.is_ok(),
        };
        if is_done {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        let mut conn = db.read().await.unwrap();
        let there = wallets::get(&mut conn, &wallet).await.unwrap();
        assert_eq!(wallets::sum_of_entries(&mut conn, "").await.unwrap(), 0, "the ledger sums to zero");
        let entries = wallets::sum_of_entries(&mut conn, wallet.as_str()).await.unwrap();
        assert_eq!(entries, there.balance_minor, "the balance is its entries");
        let mut held = 0;
        for id in &holds {
            let hold = wallets::get_hold(&mut conn, id).await.unwrap();
            held += if hold.status == HoldStatus::Held { hold.amount_minor } else { 0 };
        }
        assert_eq!(held, there.held_minor, "what is held is the open holds");
        assert!(there.available_minor >= 0);
    }
    db.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_of_acts_keeps_the_books(acts in prop::collection::vec(any_act(), 1..40)) {
        tokio::runtime::Runtime::new().unwrap().block_on(act_out(acts));
    }
}
