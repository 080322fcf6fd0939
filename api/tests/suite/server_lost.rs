//! A PostgreSQL server that is away, goes away and comes back, or does not let us in.

use std::time::Duration;

use api::db::{DatabaseLocation, Db};
use serde_json::json;
use service::logs::chain;
use sqlx::{AnyConnection, AssertSqlSafe, Connection};

use crate::{
    fake_lake::trip,
    place::{Place, Postgres},
    postgres_server::Cluster,
    server::ServerOn,
};

#[tokio::test]
async fn while_the_server_is_away_answers_are_503_and_it_goes_on_by_itself() {
    let mut cluster = Cluster::start().await;
    let name = cluster.database(None).await;
    let server = ServerOn::<Postgres>::start_at(Place::of(&cluster, name), |config| config).await;
    server.customer("car-1").await;
    cluster.stop();
    for what in ["GET /v1/vehicles", "POST /v1/vehicles", "GET /v1/trips/trp_a"] {
        let body = json!({ "vehicle_id": "car-2" });
        let answer = server.send(what, &[], Some(&body).filter(|_| what.starts_with("POST"))).await;
        assert_eq!(answer.status, 503, "{what}: {}", answer.body);
        assert_eq!(answer.header("retry-after"), Some("1"), "{what}");
        assert!(answer.body.contains("busy or away"), "{}", answer.body);
    }
    assert_eq!(server.get("/health").await.status, 200);
    assert_eq!(server.get("/ready").await.status, 503);
    // What comes meanwhile is not lost.
    server.lake.commit(vec![trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0))]);

    cluster.start_again().await;
    let back = async { while server.get("/v1/vehicles").await.status != 200 {} };
    tokio::time::timeout(Duration::from_secs(30), back).await.expect("it answers again");
    let made = server.post("/v1/vehicles", json!({ "vehicle_id": "car-2" })).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let page = server.until("/v1/invoices", |p| p["data"][0]["line_count"] == 3).await;
    assert_eq!(page["data"][0]["subtotal_minor"], 870);
    let ready = async { while server.get("/ready").await.status != 200 {} };
    tokio::time::timeout(Duration::from_secs(30), ready).await.expect("it is ready again");
    server.tasks.stop(Duration::from_secs(10)).await.unwrap();
    server.handle.close().await;
}

#[tokio::test]
async fn a_server_that_only_reads_is_told_as_busy_and_takes_writes_again() {
    let cluster = Cluster::shared().await;
    let name = cluster.database(None).await;
    let server = ServerOn::<Postgres>::start_at(Place::of(cluster, name.clone()), |config| config).await;
    let mut conn = AnyConnection::connect(&server.place.url).await.unwrap();
    for read_only in ["on", "off"] {
        let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {read_only}");
        // As after a failover, connections are made anew.
        let cut = "SELECT pg_terminate_backend(pid)::TEXT FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        for sql in ["SET default_transaction_read_only = off".to_owned(), set, cut.to_owned()] {
            sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        }
        let back = async { while server.get("/v1/vehicles").await.status != 200 {} };
        tokio::time::timeout(Duration::from_secs(30), back).await.expect("it reads");
        // The first may find a connection that was cut, which is busy as well.
        for _ in 0..3 {
            let answer = server.post("/v1/vehicles", json!({ "vehicle_id": "car-1" })).await;
            if read_only == "on" {
                assert_eq!(
                    (answer.status, answer.header("retry-after")),
                    (503, Some("1")),
                    "{}",
                    answer.body
                );
            } else if answer.status != 503 {
                assert_eq!(answer.status, 201, "{}", answer.body);
                break;
            }
        }
    }
    assert_eq!(server.json("/v1/vehicles").await["data"].as_array().unwrap().len(), 1);
    conn.close().await.unwrap();
    server.tasks.stop(Duration::from_secs(10)).await.unwrap();
    server.handle.close().await;
}

async fn refused(url: String) -> String {
    let error = Db::open(DatabaseLocation::from(url)).await.unwrap_err();
    chain(&error).to_string()
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_told_without_the_password() {
    let cluster = Cluster::shared().await;
    let name = cluster.database(None).await;
    let wrong = refused(cluster.url(&name, "s3cret")).await;
    assert!(wrong.contains("refuses the password; set database_password_file"), "{wrong}");
    let missing = refused(cluster.url("nowhere", crate::postgres_server::PASSWORD)).await;
    assert!(missing.contains("no such database; make it with createdb"), "{missing}");
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let away = refused(format!("postgres://fleet:s3cret@{addr}/roadlake")).await;
    assert!(away.contains("does not answer; check that it runs"), "{away}");
    assert!(away.contains(&format!("postgres://fleet@{addr}/roadlake")), "{away}");
    for told in [wrong, missing, away] {
        assert!(!told.contains("s3cret") && !told.contains("let me"), "{told}");
    }
}
