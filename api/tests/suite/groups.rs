//! Groups of vehicles, and the lists and streams that they narrow.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wire::time::Timestamp;

use super::Server;
use crate::{
    client::id,
    fake_lake::{state, trip},
    server::NOW,
};

const GROUPS: &str = "/v1/groups";

fn path(group: &Value) -> String {
    format!("{GROUPS}/{}", id(group))
}

/// A server with an organization of three vehicles, and its group without any.
async fn fleet() -> (Server, String, Value) {
    let server = Server::start().await;
    let organization = server.customer("car-1").await;
    for vehicle in ["car-2", "car-3"] {
        server
            .posted("/v1/vehicles", json!({ "vehicle_id": vehicle, "organization_id": organization }))
            .await;
    }
    let group =
        server.posted(GROUPS, json!({ "name": " North depot ", "organization_id": organization })).await;
    (server, organization, group)
}

async fn act(server: &Server, method: &str, group: &Value, vehicle: &str) -> u16 {
    server.send(&format!("{method} {}/vehicles/{vehicle}", path(group)), &[], None).await.status
}

/// The telemetry ids of a list.
async fn ids(server: &Server, path: &str) -> Vec<String> {
    let page = server.json(path).await;
    page["data"].as_array().unwrap().iter().map(|v| v["vehicle_id"].as_str().unwrap().to_owned()).collect()
}

async fn members(server: &Server, group: &Value) -> Vec<String> {
    ids(server, &format!("{}/vehicles", path(group))).await
}

/// What happened to groups and in them.
async fn told(server: &Server) -> Vec<(String, Value)> {
    let page = server.json("/v1/events?limit=200").await;
    let all = page["data"].as_array().unwrap().iter();
    all.filter(|e| e["aggregate_type"].as_str().unwrap().starts_with("group"))
        .map(|e| (e["event_type"].as_str().unwrap().to_owned(), e["data"].clone()))
        .collect()
}

#[tokio::test]
async fn a_group_is_made_changed_and_taken_away() {
    let (server, organization, north) = fleet().await;
    assert_eq!((&north["name"], &north["vehicle_count"]), (&json!("North depot"), &json!(0)));
    assert_eq!((&north["description"], &north["version"]), (&Value::Null, &json!(1)));
    let twice = json!({ "name": "NORTH DEPOT", "organization_id": organization });
    let refused = server.post(GROUPS, twice.clone()).await;
    assert!(refused.status == 409 && refused.body.contains(id(&north)), "{}", refused.body);
    server.posted(GROUPS, json!({ "name": "north depot" })).await;
    let south = json!({ "name": "Äst 100%", "organization_id": organization, "description": " by the sea " });
    let south = server.posted(GROUPS, south).await;
    assert_eq!(south["description"], "by the sea");
    let bad = server
        .post(GROUPS, json!({ "name": " ", "description": "x".repeat(1_001), "organization_id": "org_none" }))
        .await;
    assert_eq!(bad.status, 422, "{}", bad.body);
    let errors = bad.json()["errors"].clone();
    let fields: Vec<_> = errors.as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["organization_id", "name", "description"]);

    let names = async |query: &str| -> Vec<String> {
        let page = server.json(&format!("{GROUPS}?organization_id={organization}&{query}")).await;
        page["data"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("q=DEPOT").await, ["North depot"]);
    assert_eq!(names("q=100%25").await, ["Äst 100%"]);
    assert_eq!(names("q=ÄST").await, ["Äst 100%"]);
    let first = server.json(&format!("{GROUPS}?organization_id={organization}&limit=1")).await;
    let rest = names(&format!("limit=1&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!(rest.len(), 1);
    assert_ne!(json!(rest[0]), first["data"][0]["name"]);

    assert_eq!(server.send(&format!("PATCH {}", path(&north)), &[], Some(&json!({}))).await.status, 428);
    assert_eq!(server.patch(&path(&north), 3, json!({ "name": "x" })).await.status, 412);
    assert_eq!(server.patch(&path(&south), 1, json!({ "name": "north DEPOT" })).await.status, 409);
    let own = server.patch(&path(&north), 1, json!({ "name": "NORTH depot", "description": "d" })).await;
    assert_eq!((own.status, own.header("etag")), (200, Some("\"2\"")), "its own name: {}", own.body);
    assert_eq!(server.patch(&path(&north), 2, json!({ "name": "NORTH depot" })).await.json()["version"], 2);
    assert_eq!(act(&server, "PUT", &north, "car-1").await, 204);
    for status in [204, 404] {
        assert_eq!(server.send(&format!("DELETE {}", path(&north)), &[], None).await.status, status);
    }
    assert_eq!(server.json("/v1/vehicles/car-1").await["group_ids"], json!([]));
    assert_eq!(server.get(&format!("/v1/vehicles?group_id={}", id(&north))).await.status, 404);
    server.posted(GROUPS, twice).await;
    let events: Vec<String> = told(&server).await.into_iter().map(|(event, _)| event).collect();
    assert_eq!(
        events,
        [
            "GroupCreated",
            "GroupCreated",
            "GroupCreated",
            "GroupChanged",
            "VehicleJoinedGroup",
            "GroupDeleted",
            "GroupCreated"
        ]
    );
}

#[tokio::test]
async fn vehicles_join_and_leave_all_or_none_of_them() {
    let (server, organization, north) = fleet().await;
    server.posted("/v1/vehicles", json!({ "vehicle_id": "nobodys" })).await;
    for _ in 0..2 {
        assert_eq!(act(&server, "PUT", &north, "car-2").await, 204);
    }
    let car_1 = server.json("/v1/vehicles/car-1").await;
    assert_eq!(act(&server, "PUT", &north, id(&car_1)).await, 204, "by either id");
    for vehicle in ["car-9", "nobodys"] {
        assert_eq!(act(&server, "PUT", &north, vehicle).await, 404, "{vehicle}");
        assert_eq!(act(&server, "DELETE", &north, vehicle).await, 404, "{vehicle}");
    }
    assert_eq!(members(&server, &north).await, ["car-1", "car-2"]);
    assert_eq!(ids(&server, &format!("{}/vehicles?q=CAR-2", path(&north))).await, ["car-2"]);
    let one = server.json(&format!("{}/vehicles?limit=1", path(&north))).await;
    let next = format!("{}/vehicles?limit=1&cursor={}", path(&north), one["next_cursor"].as_str().unwrap());
    assert_eq!(ids(&server, &next).await, ["car-2"]);
    assert_eq!(one["data"][0]["group_ids"], json!([north["id"]]));

    let many = format!("{}/vehicles", path(&north));
    // Ids are in the order of their times.
    server.clock.advance(Duration::from_secs(1));
    let south = server.posted(GROUPS, json!({ "name": "South", "organization_id": organization })).await;
    let all = json!({ "add": ["car-1", "car-2", "car-3"] });
    assert_eq!(server.posted(&format!("{}/vehicles", path(&south)), all).await["vehicle_count"], 3);
    let bad = json!({ "add": ["car-3", "car-9", "nobodys"], "remove": ["car-1", "car-8", "car-3"] });
    let refused = server.post(&many, bad).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let errors = refused.json()["errors"].clone();
    let fields: Vec<_> = errors.as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["add[1]", "add[2]", "remove[1]", "remove[2]"]);
    assert_eq!(members(&server, &north).await, ["car-1", "car-2"], "none of it");
    for count in [0, 1_001] {
        let refused = server.post(&many, json!({ "remove": vec!["car-1"; count] })).await;
        assert_eq!(refused.status, 422, "{}", refused.body);
    }
    // Whoever is there joins not again, and who is not there has not left.
    let changed =
        server.posted(&many, json!({ "add": ["car-3", "car-2", "car-3"], "remove": ["car-1"] })).await;
    assert_eq!((&changed["vehicle_count"], &changed["version"]), (&json!(2), &json!(1)), "{changed}");
    for _ in 0..2 {
        assert_eq!(act(&server, "DELETE", &north, "car-2").await, 204);
    }
    assert_eq!(members(&server, &north).await, ["car-3"]);
    assert_eq!(act(&server, "PUT", &north, "car-1").await, 204, "again");
    let both = server.json("/v1/vehicles/car-3").await["group_ids"].clone();
    assert_eq!(both, json!([north["id"], south["id"]]));
    let listed = server.json("/v1/vehicles?q=car-3").await;
    assert_eq!(listed["data"][0]["group_ids"], both);

    let told = told(&server).await;
    let of_north = told.iter().filter(|(_, data)| data["group_id"] == north["id"]);
    let of_north: Vec<_> =
        of_north.map(|(event, data)| format!("{event} {}", data["vehicle_name"])).collect();
    assert_eq!(
        of_north,
        [
            "VehicleJoinedGroup \"car-2\"",
            "VehicleJoinedGroup \"car-1\"",
            "VehicleJoinedGroup \"car-3\"",
            "VehicleLeftGroup \"car-1\"",
            "VehicleLeftGroup \"car-2\"",
            "VehicleJoinedGroup \"car-1\"",
        ]
    );
    // Another organization's now: it leaves the groups of the one before, with that change.
    let new = json!({ "name": "Bolt", "currency": "EUR", "time_zone": "Europe/Copenhagen" });
    let bolt = server.posted("/v1/organizations", new).await["id"].clone();
    let sold = server.patch("/v1/vehicles/car-3", 1, json!({ "organization_id": bolt })).await;
    assert_eq!(sold.json()["group_ids"], json!([]), "{}", sold.body);
    assert_eq!(members(&server, &north).await, ["car-1"]);
    assert_eq!(members(&server, &south).await, ["car-1", "car-2"]);
    let left = self::told(&server).await.into_iter().filter(|(_, data)| data["reason"] == "reassigned");
    let left: Vec<_> = left.map(|(_, data)| data["organization_id"].clone()).collect();
    assert_eq!(left, [json!(organization), json!(organization)]);
    let renamed = server.patch("/v1/vehicles/car-1", 1, json!({ "name": "Van" })).await.json();
    assert_eq!(renamed["group_ids"], json!([north["id"], south["id"]]), "a name moves nobody");
}

#[tokio::test]
async fn lists_are_narrowed_to_a_group() {
    let (server, organization, north) = fleet().await;
    for vehicle in ["car-1", "car-3"] {
        assert_eq!(act(&server, "PUT", &north, vehicle).await, 204);
    }
    let now = Timestamp::parse(NOW).unwrap();
    server.lake.see(vec![state("car-1", now, 50.0), state("car-2", now, 0.0), state("car-9", now, 0.0)]);
    server.lake.commit(vec![
        trip("a", "car-1", "2026-11-20T08:00:00Z", (1_000, 600, 0)),
        trip("b", "car-2", "2026-11-20T09:00:00Z", (1_000, 600, 0)),
        trip("c", "car-3", "2026-11-20T10:00:00Z", (1_000, 600, 0)),
    ]);
    server.until("/v1/trips", |p| p["data"].as_array().unwrap().len() == 3).await;
    let schedule = json!({ "name": "Oil", "every_days": 10, "organization_id": organization });
    server.posted("/v1/maintenance-schedules", schedule).await;
    let of = |list: &str| format!("/v1/{list}?group_id={}", id(&north));
    assert_eq!(ids(&server, &of("vehicles")).await, ["car-1", "car-3"]);
    assert_eq!(ids(&server, &format!("{}&q=3", of("vehicles"))).await, ["car-3"]);
    assert_eq!(ids(&server, &of("fleet/status")).await, ["car-1"]);
    assert_eq!(ids(&server, "/v1/fleet/status").await, ["car-1", "car-2", "car-9"]);
    assert_eq!(ids(&server, &of("trips")).await, ["car-3", "car-1"]);
    assert_eq!(ids(&server, &format!("{}&vehicle_id=car-1", of("trips"))).await, ["car-1"]);
    assert_eq!(ids(&server, &format!("{}&vehicle_id=car-2", of("trips"))).await, [] as [&str; 0]);
    let page = server.json(&format!("{}&limit=1", of("trips"))).await;
    let next = format!("{}&limit=1&cursor={}", of("trips"), page["next_cursor"].as_str().unwrap());
    assert_eq!(ids(&server, &next).await, ["car-1"]);
    let due = server.json(&of("maintenance-due")).await;
    let due = due["data"].as_array().unwrap().iter().map(|row| row["vehicle_name"].as_str().unwrap());
    let mut due: Vec<_> = due.collect();
    due.sort_unstable();
    assert_eq!(due, ["car-1", "car-3"]);
    for list in ["vehicles", "fleet/status", "tracking", "trips", "maintenance-due"] {
        for none in ["grp_none", "x"] {
            let answer = server.get(&format!("/v1/{list}?group_id={none}")).await;
            assert_eq!(answer.status, 404, "{list}: {}", answer.body);
        }
    }
}

/// A stream that is read a piece at a time.
struct Stream {
    stream: TcpStream,
    text: String,
}

impl Stream {
    async fn of(server: &Server, path: &str) -> Self {
        let addr = server.handle.addr;
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, text: String::new() }
    }

    /// What comes until that is in it, or the end.
    async fn until(&mut self, wanted: &str) -> String {
        let mut buffer = [0_u8; 4096];
        let reading = async {
            while !self.text.contains(wanted) {
                match self.stream.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => self.text.push_str(&String::from_utf8_lossy(&buffer[..count])),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reading).await.expect("it comes");
        std::mem::take(&mut self.text)
    }
}

#[tokio::test]
async fn a_stream_of_a_group_goes_with_who_joins_and_leaves() {
    let (server, _, north) = fleet().await;
    assert_eq!(act(&server, "PUT", &north, "car-1").await, 204);
    let now = Timestamp::parse(NOW).unwrap();
    let all = || vec![state("car-1", now, 50.0), state("car-2", now, 50.0), state("car-3", now, 50.0)];
    server.lake.see(all());
    let mut stream = Stream::of(&server, &format!("/v1/tracking?group_id={}", id(&north))).await;
    let begun = stream.until("\"car-1\"").await;
    assert!(begun.contains("200 OK") && !begun.contains("car-2"), "{begun}");
    // A whole look is due: what is new there is found with the next reading.
    let look = || {
        server.clock.advance(Duration::from_secs(6));
        server.lake.see(all());
    };
    assert_eq!(act(&server, "PUT", &north, "car-2").await, 204);
    look();
    let joined = stream.until("\"car-2\"").await;
    assert!(!joined.contains("gone") && !joined.contains("car-3"), "{joined}");
    assert_eq!(act(&server, "DELETE", &north, "car-1").await, 204);
    look();
    let left = stream.until("event: gone\ndata: {\"vehicle_id\":\"car-1\"}").await;
    assert!(left.contains("event: gone") && !left.contains("car-3"), "{left}");
    // It comes again as it is, though it has not changed since it was sent.
    assert_eq!(act(&server, "PUT", &north, "car-1").await, 204);
    look();
    let again = stream.until("\"name\":\"car-1\"").await;
    assert!(again.contains("\"name\":\"car-1\""), "{again}");
    assert_eq!(server.send(&format!("DELETE {}", path(&north)), &[], None).await.status, 204);
    look();
    let ended = stream.until("0\r\n\r\n").await;
    assert!(ended.ends_with("0\r\n\r\n"), "the end: {ended}");
}

/// Groups that were changed and taken away, with vehicles that came and went.
pub(super) async fn story(server: &Server, organization: &str) {
    let mut made = Vec::new();
    for name in ["Stays", "Goes"] {
        let group = server.posted(GROUPS, json!({ "name": name, "organization_id": organization })).await;
        assert_eq!(act(server, "PUT", &group, "car-1").await, 204);
        made.push(group);
    }
    assert_eq!(act(server, "DELETE", &made[0], "car-1").await, 204);
    assert_eq!(act(server, "PUT", &made[0], "car-1").await, 204);
    let changed = json!({ "name": "STAYS", "description": "d" });
    assert_eq!(server.patch(&path(&made[0]), 1, changed).await.status, 200);
    assert_eq!(server.send(&format!("DELETE {}", path(&made[1])), &[], None).await.status, 204);
}

/// A group of an organization with its vehicle, by its key.
pub(super) async fn of_tenant(server: &Server, (key, vehicle): (&str, &str)) -> String {
    let new = json!({ "name": format!("Group of {vehicle}") });
    let group = server.by(key, &format!("POST {GROUPS}"), Some(&new)).await.json();
    let join = format!("PUT {}/vehicles/{vehicle}", path(&group));
    assert_eq!(server.by(key, &join, None).await.status, 204);
    id(&group).to_owned()
}
