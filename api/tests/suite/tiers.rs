//! Tariffs with tiers over a month, energy, and previews.

use serde_json::{Value, json};

use super::{
    Server,
    billing::{finalize, only_invoice},
};
use crate::fake_lake::{revised, trip, withdrawn};

fn tiered() -> Value {
    json!({
        "name": "By the month", "currency": "EUR", "tax_percent": "25",
        "elements": [{ "components": [
            { "type": "DISTANCE", "tiers": { "mode": "graduated", "steps": [
                { "up_to": "100", "price": "0.40" }, { "price": "0.20" }] } },
            { "type": "ENERGY", "price": "0.50" }] }],
    })
}

async fn customer_by_tiers(server: &Server) {
    let id = server.customer("car-1").await;
    let tariff = server.post("/v1/tariffs", tiered()).await;
    assert_eq!(tariff.status, 201, "{}", tariff.body);
    let choice = json!({ "tariff_id": tariff.json()["id"] });
    let put = server.send(&format!("PUT /v1/organizations/{id}/tariff"), &[], Some(&choice)).await;
    assert_eq!(put.status, 200, "{}", put.body);
}

#[tokio::test]
async fn trips_share_a_months_tiers_and_revisions_move_only_their_own_line() {
    let server = Server::start().await;
    customer_by_tiers(&server).await;
    let mut one = trip("a", "car-1", "2026-11-02T08:00:00Z", (80_000, 3_600, 0));
    one.energy_used_kwh = Some(12.3456);
    let two = trip("b", "car-1", "2026-11-03T08:00:00Z", (80_000, 3_600, 0));
    server.lake.commit(vec![one.clone(), two.clone()]);
    // 100 km at 0.40 and 60 km at 0.20, and 12.346 kWh at 0.50.
    let invoice = only_invoice(&server, |i| i["subtotal_minor"] == 4_000 + 1_200 + 617).await;
    assert_eq!(invoice["lines"][2]["amount_minor"], 2_000, "20 km in the first tier, 60 in the second");
    for line in invoice["lines"].as_array().unwrap() {
        let (id, line) = (invoice["id"].as_str().unwrap(), line["id"].as_str().unwrap());
        let proof = server.json(&format!("/v1/invoices/{id}/lines/{line}/evidence")).await;
        assert_eq!(proof["agrees"], true, "{proof}");
    }
    // The first is taken back: its part of the first tier is what the other now costs more.
    server.lake.commit(vec![withdrawn(&one)]);
    let less = only_invoice(&server, |i| i["subtotal_minor"] == 3_200).await;
    let amounts: Vec<_> = less["lines"].as_array().unwrap().iter().map(|l| &l["amount_minor"]).collect();
    assert_eq!(amounts, [&json!(1_200), &json!(2_000)]);
    let (id, line) = (less["id"].as_str().unwrap(), less["lines"][0]["id"].as_str().unwrap());
    let proof = server.json(&format!("/v1/invoices/{id}/lines/{line}/evidence")).await;
    assert_eq!(proof["agrees"], true, "a trip that is no more is proven too: {proof}");

    finalize(&server, &less, "k").await;
    server.lake.commit(vec![revised(&two, 110_000)]);
    let notes = server.until("/v1/credit-notes", |p| p["data"].get(0).is_some()).await;
    assert_eq!(notes["data"][0]["subtotal_minor"], 4_200 - 3_200);
}

#[tokio::test]
async fn a_preview_tells_each_customers_difference_and_stores_nothing() {
    let server = Server::start().await;
    let id = server.customer("car-1").await;
    let in_october = trip("a", "car-1", "2026-10-20T08:00:00Z", (150_000, 3_600, 0));
    let later = trip("b", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0));
    server.lake.commit(vec![in_october, later]);
    server.until("/v1/invoices", |p| p["data"].get(1).is_some()).await;
    let position = server.json("/v1/events?limit=200").await["next_after"].clone();
    let answer = server.post("/v1/tariff-previews", json!({ "tariff": tiered() })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let found = answer.json();
    assert_eq!((&found["month"], &found["currency"]), (&json!("2026-10"), &json!("EUR")));
    // Flat 1.00, 150 km at 0.29 and an hour at 4.80, against 100 km at 0.40 and 50 at 0.20.
    assert_eq!(
        found["customers"],
        json!([{ "organization_id": id, "organization_name": "Acme", "trip_count": 1,
            "current_minor": 4_930, "preview_minor": 5_000, "difference_minor": 70 }])
    );
    assert_eq!(found["difference_minor"], 70);
    let asked = json!({ "tariff": tiered(), "month": "2026-11", "organization_id": id });
    let november = server.post("/v1/tariff-previews", asked).await.json();
    assert_eq!((&november["current_minor"], &november["preview_minor"]), (&json!(870), &json!(400)));
    assert_eq!(server.json("/v1/events?limit=200").await["next_after"], position);
    for bad in ["2026-1", "2026-13", "october"] {
        let answer = server.post("/v1/tariff-previews", json!({ "tariff": tiered(), "month": bad })).await;
        assert_eq!(answer.status, 422, "{bad}: {}", answer.body);
    }
}
