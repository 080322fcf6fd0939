//! What holds for every request: problem details, limits, keys, health, the console.

use std::sync::Arc;

use api::{StartError, config::Config};
use serde_json::json;
use service::{Tasks, clock::ManualClock};

use super::Server;
use crate::{
    client::send_raw,
    fake_lake::FakeLake,
    server::{config, settings},
};

#[tokio::test]
async fn bad_requests_are_problems_that_name_the_field() {
    let server = Server::start().await;
    let cases = [
        ("POST /v1/vehicles", json!({ "vehicle_id": "car-1", "colour": "red" }), 422, "colour"),
        ("POST /v1/vehicles", json!({ "name": "x" }), 422, "vehicle_id"),
        ("POST /v1/vehicles", json!({ "vehicle_id": "Car 1" }), 422, "vehicle_id"),
        (
            "POST /v1/vehicles",
            json!({ "vehicle_id": "car-1", "organization_id": "org_none" }),
            422,
            "organization_id",
        ),
        ("GET /v1/vehicles?limit=0", json!(null), 422, "limit"),
        ("GET /v1/vehicles?cursor=zz", json!(null), 422, "cursor"),
        ("GET /v1/trips?cursor=610a62", json!(null), 422, "cursor"),
        ("GET /v1/vehicles?colour=red", json!(null), 400, "colour"),
        ("GET /v1/trips?from=yesterday", json!(null), 422, "from"),
        ("GET /v1/invoices?status=open", json!(null), 422, "status"),
        (
            "POST /v1/organizations",
            json!({ "name": "a", "currency": "XXQ", "time_zone": "Mars" }),
            422,
            "time_zone",
        ),
        ("POST /v1/invoices", json!({}), 400, "Idempotency-Key"),
    ];
    for (what, body, status, field) in cases {
        let answer = server.send(what, &[], Some(&body).filter(|b| !b.is_null())).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
        let problem = answer.json();
        assert_eq!(problem["status"], status);
        let errors = problem["errors"].as_array().unwrap();
        assert!(errors.iter().any(|e| e["field"] == field), "{what}: {problem}");
    }
    for (what, status) in [
        ("GET /v1/nothing", 404),
        ("GET /v1/vehicles/nobody", 404),
        ("GET /v1/vehicles/Not%20An%20Id", 404),
        ("GET /v1/trips/inv_1", 404),
        ("DELETE /v1/vehicles", 405),
        ("POST /somewhere", 405),
    ] {
        let answer = server.send(what, &[], None).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    }
    let broken = send_raw(server.handle.addr, "POST /v1/vehicles", &[], b"{\"vehicle_id\":").await;
    assert_eq!(broken.status, 400, "{}", broken.body);
}

#[tokio::test]
async fn a_nul_is_refused_wherever_it_is_and_its_spelling_is_not() {
    let server = Server::start().await;
    let body = |text: &str| format!("{{\"vehicle_id\": \"car-1\", \"name\": \"{text}\"}}").into_bytes();
    for bad in ["a\\u0000b", "\\u0000", "\\\\\\u0000"] {
        let answer = send_raw(server.handle.addr, "POST /v1/vehicles", &[], &body(bad)).await;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.body);
        assert!(answer.body.contains("NUL"), "{}", answer.body);
    }
    for bad in ["GET /v1/vehicles?q=a%00", "GET /v1/vehicles/a%00b", "GET /v1/trips?vehicle_id=%00"] {
        let answer = server.send(bad, &[], None).await;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.body);
    }
    // In hex, as cursors are: "a", a line's end, and NUL.
    assert_eq!(server.get("/v1/vehicles?cursor=610a00").await.status, 422);
    let key = [("idempotency-key", "k")];
    let keyed = b"{\"organization_id\": \"\\u0000\"}";
    assert_eq!(send_raw(server.handle.addr, "POST /v1/wallets", &key, keyed).await.status, 400);
    let spelled = send_raw(server.handle.addr, "POST /v1/vehicles", &[], &body("a\\\\u0000b")).await;
    assert_eq!((spelled.status, &spelled.json()["name"]), (201, &json!("a\\u0000b")));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let server = Server::start().await;
    let big = vec![b' '; (1 << 20) + 1];
    let answer = send_raw(server.handle.addr, "POST /v1/vehicles", &[], &big).await;
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("body_bytes_max"), "{}", answer.body);
}

#[tokio::test]
async fn with_a_key_file_v1_wants_the_key_and_health_does_not() {
    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("key");
    std::fs::write(&file, "open sesame\n").unwrap();
    let server = Server::start_with(|config| Config { api_key_file: Some(file), ..config }).await;
    assert_eq!(server.get("/health").await.status, 200);
    let refused = server.get("/v1/vehicles").await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    let wrong = [("authorization", "Bearer open")];
    assert_eq!(server.send("GET /v1/vehicles", &wrong, None).await.status, 401);
    let right = [("authorization", "Bearer open sesame")];
    assert_eq!(server.send("GET /v1/vehicles", &right, None).await.status, 200);
    // Why it is not ready, the operator alone is told.
    server.handle.health.set("ingest", service::health::State::Failing("disk 7 is full".to_owned()));
    for (headers, told) in [(&[][..], "failing"), (&wrong, "failing"), (&right, "failing: disk 7 is full")] {
        let ready = server.send("GET /ready", headers, None).await;
        assert_eq!((ready.status, &ready.json()["parts"]["ingest"]), (503, &json!(told)));
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_key() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("api.db");
    let config = Config { listen: server.handle.addr.to_string(), ..config(&file.clone().into()) };
    let clock = ManualClock::at(0);
    let error =
        api::start(settings(config), &Tasks::new(), clock, Arc::new(FakeLake::default())).await.unwrap_err();
    assert!(matches!(error, StartError::PortInUse { .. }));
    let message = error.to_string();
    assert!(
        message.contains(&server.handle.addr.port().to_string()) && message.contains("`listen`"),
        "{message}"
    );
    assert!(!file.exists(), "nothing is made before the port is bound");
}

#[tokio::test]
async fn ready_tells_the_parts_and_the_description_tells_the_routes() {
    let server = Server::start().await;
    let asking = async {
        loop {
            let answer = server.get("/ready").await;
            if answer.status == 200 {
                return answer.json();
            }
            assert_eq!(answer.status, 503, "{}", answer.body);
        }
    };
    let ready = tokio::time::timeout(std::time::Duration::from_secs(30), asking).await.unwrap();
    assert_eq!(ready["parts"], json!({ "database": "ready", "trip follower": "ready" }));
    server.handle.health.set("ingest", service::health::State::Failing("the disk is full".to_owned()));
    let failing = server.get("/ready").await;
    assert_eq!(failing.status, 503);
    assert_eq!(failing.json()["parts"]["ingest"], "failing: the disk is full");

    let description = server.json("/v1/openapi.json").await;
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in [
        "/v1/vehicles/{id}",
        "/v1/fleet/status",
        "/v1/trips/{id}/positions",
        "/v1/invoices/{id}/lines/{line_id}/evidence",
        "/v1/sql",
        "/ready",
    ] {
        assert!(description["paths"][path].is_object(), "{path}");
    }
    assert!(description["components"]["schemas"]["Trip"]["properties"]["distance_m"].is_object());
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|_| path.starts_with("/v1/")) {
            for status in ["401", "403", "429", "503"] {
                let answer = &operation["responses"][status];
                assert!(answer["description"].is_string(), "{method} {path} {status}");
            }
        }
    }
}

#[tokio::test]
async fn the_console_is_served_for_every_path_that_is_a_place_in_it() {
    let server = Server::start().await;
    for path in ["/", "/trips/trp_1", "/index.html"] {
        let page = server.get(path).await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8")),
            "{path}"
        );
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        assert!(page.header("content-security-policy").is_some());
    }
    assert_eq!(server.get("/assets/none.js").await.status, 404);
    let zipped = server.send("GET /v1/openapi.json", &[("accept-encoding", "gzip")], None).await;
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert!(server.get("/docs").await.body.contains("/docs/docs.js"));
    assert!(!server.get("/docs/docs.js").await.body.contains("http://"), "nothing from elsewhere");
}
