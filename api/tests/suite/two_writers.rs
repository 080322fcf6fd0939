//! Two processes of the api on one database, writing at the same moment.

use std::collections::BTreeSet;

use api::db::{Db, DbError};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection, Executor};

use super::Server;
use crate::{client::Answer, fake_lake::trip};

async fn two() -> (Server, Server) {
    let one = Server::start().await;
    let two = Server::start_at(one.place.again(), |config| config).await;
    (one, two)
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    let mut statuses: Vec<u16> = answers.iter().map(|a| a.status).collect();
    statuses.sort_unstable();
    statuses
}

async fn all_events(server: &Server) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let after = events.len();
        let page = server.json(&format!("/v1/events?limit=200&after={after}")).await;
        let more = page["data"].as_array().unwrap().clone();
        if more.is_empty() {
            return events;
        }
        events.extend(more);
    }
}

#[tokio::test]
async fn each_thing_is_made_once_and_the_log_has_no_holes() {
    let (one, two) = two().await;
    let servers = [&one, &two];
    let new = |id: String| json!({ "vehicle_id": id });
    let registering = (0..8).flat_map(|i| {
        servers.map(|server| async move {
            let own = format!("car-{i}-{}", server.handle.addr.port());
            let made = server.post("/v1/vehicles", new(own)).await;
            assert_eq!(made.status, 201, "{}", made.body);
            (i, server.post("/v1/vehicles", new(format!("car-{i}"))).await)
        })
    });
    let answers = join_all(registering).await;
    for i in 0..8 {
        let of_both: Vec<Answer> = answers.iter().filter(|(n, _)| *n == i).map(|(_, a)| a.clone()).collect();
        assert_eq!(statuses(&of_both), [201, 409], "car-{i}: {of_both:?}");
    }
    let changing = servers.map(|server| async move {
        let name = json!({ "name": format!("by {}", server.handle.addr) });
        server.send("PATCH /v1/vehicles/car-0", &[("if-match", "\"1\"")], Some(&name)).await
    });
    assert_eq!(statuses(&join_all(changing).await), [200, 412], "the second saw what the first had made");

    let events = all_events(&two).await;
    let positions: Vec<i64> = events.iter().map(|e| e["position"].as_i64().unwrap()).collect();
    assert_eq!(positions, (1..=25).collect::<Vec<_>>());
    let ids: BTreeSet<_> = events.iter().map(|e| e["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 25);
}

#[tokio::test]
async fn one_key_is_one_act_and_invoice_numbers_have_no_holes() {
    let (one, two) = two().await;
    let organization = one.customer("car-1").await;
    let october = json!({
        "organization_id": organization,
        "period_start": "2026-09-30T22:00:00Z", "period_end": "2026-10-31T23:00:00Z",
    });
    let posting = [&one, &two].map(|server| {
        let october = &october;
        async move { server.send("POST /v1/invoices", &[("idempotency-key", "same")], Some(october)).await }
    });
    let answers = join_all(posting).await;
    assert_eq!(statuses(&answers), [201, 201], "{answers:?}");
    assert_eq!(answers[0].json(), answers[1].json());
    let replayed = answers.iter().filter(|a| a.header("idempotent-replayed").is_some()).count();
    assert_eq!(replayed, 1);

    // Both follow; each trip is stored and billed by one of them.
    let trips = [("a", "2026-11-02T08:00:00Z"), ("b", "2026-12-02T08:00:00Z"), ("c", "2027-01-02T08:00:00Z")];
    for (id, start) in trips {
        let row = trip(id, "car-1", start, (10_000, 3_600, 0));
        one.lake.commit(vec![row.clone()]);
        two.lake.commit(vec![row]);
    }
    let page = one
        .until("/v1/invoices", |p| {
            let billed = p["data"].as_array().unwrap().iter().filter(|i| i["line_count"] == 3);
            billed.count() == 3
        })
        .await;
    let drafts: Vec<String> =
        page["data"].as_array().unwrap()[..3].iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect();
    let finalizing = drafts.iter().enumerate().map(|(i, id)| {
        let server = [&one, &two][i % 2];
        async move {
            let what = format!("POST /v1/invoices/{id}/finalize");
            server.send(&what, &[("idempotency-key", id)], None).await
        }
    });
    let done = join_all(finalizing).await;
    assert_eq!(statuses(&done), [200, 200, 200], "{done:?}");
    let numbers: BTreeSet<String> =
        done.iter().map(|a| a.json()["number"].as_str().unwrap().to_owned()).collect();
    assert_eq!(numbers.into_iter().collect::<Vec<_>>(), ["RL-000001", "RL-000002", "RL-000003"]);
    let told = all_events(&one).await;
    let completed = told.iter().filter(|e| e["event_type"] == "TripCompleted").count();
    assert_eq!(completed, 3);
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_left_alone() {
    let server = Server::start().await;
    server.tasks.stop(std::time::Duration::from_secs(10)).await.unwrap();
    server.handle.close().await;
    let mut conn = AnyConnection::connect(&server.place.url).await.unwrap();
    conn.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         SELECT 9999, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
    )
    .await
    .unwrap();
    conn.close().await.unwrap();
    let error = Db::open(server.place.location.clone()).await.unwrap_err();
    assert!(matches!(error, DbError::Newer { found: 9999, .. }), "{error:?}");
    assert!(error.to_string().contains("run the newer release"), "{error}");
}
