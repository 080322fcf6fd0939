//! Webhooks, told to a program that listens on this machine.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use service::Clock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wire::time::Timestamp;

use super::{
    Server,
    access::{key_of, locked},
};

/// A call as it came.
#[derive(Debug, Clone)]
struct Received {
    headers: BTreeMap<String, String>,
    body: String,
}

impl Received {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// What it should be signed with, by the standard's text and not by our code.
    fn is_signed_by(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
        let signed = format!("{}.{}.{}", self.id(), self.headers["webhook-timestamp"], self.body);
        self.headers["webhook-signature"].split(' ').any(|signature| {
            let tag = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
            ring::hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
        })
    }
}

/// Answers calls with the statuses it is given, then with 200.
#[derive(Clone)]
struct Receiver {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    #[allow(clippy::disallowed_methods, reason = "a server of the test's, which ends with it")]
    async fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            calls: Arc::default(),
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
        };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        receiver
    }

    /// Requests of a connection, until it ends.
    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let whole = text.split_once("\r\n\r\n").and_then(|(head, body)| {
                let headers: BTreeMap<String, String> = head
                    .lines()
                    .skip(1)
                    .filter_map(|line| line.split_once(": "))
                    .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                    .collect();
                let length: usize = headers.get("content-length")?.parse().ok()?;
                let body = body.get(..length)?.to_owned();
                Some(Received { headers, body })
            });
            if let Some(call) = whole {
                bytes.clear();
                let status = self.answers.lock().unwrap().pop_front().unwrap_or(200);
                self.calls.lock().unwrap().push(call);
                let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n");
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
                continue;
            }
            let mut more = [0; 4096];
            match stream.read(&mut more).await {
                Ok(0) | Err(_) => return,
                Ok(count) => bytes.extend_from_slice(&more[..count]),
            }
        }
    }

    fn calls(&self) -> Vec<Received> {
        self.calls.lock().unwrap().clone()
    }

    async fn until(&self, count: usize) -> Vec<Received> {
        let waiting = async {
            while self.calls().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("the call in 30 s");
        self.calls()
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}

async fn organization(server: &Server, name: &str) -> Value {
    let new = json!({ "name": name, "currency": "EUR", "time_zone": "Europe/Copenhagen" });
    let made = server.post("/v1/organizations", new).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.json()["id"].clone()
}

/// An endpoint of the operator at the receiver.
async fn endpoint(server: &Server, receiver: &Receiver, event_types: &[&str]) -> Value {
    let new = json!({ "url": receiver.url(), "event_types": event_types });
    let made = server.post("/v1/webhook-endpoints", new).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.json()
}

fn path(endpoint: &Value, rest: &str) -> String {
    format!("/v1/webhook-endpoints/{}{rest}", endpoint["id"].as_str().unwrap())
}

/// Waits until its newest delivery is as wanted.
async fn newest(server: &Server, endpoint: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    let deliveries = path(endpoint, "/deliveries");
    let is_wanted = |page: &Value| page["data"].as_array().unwrap().first().is_some_and(&wanted);
    server.until(&deliveries, is_wanted).await["data"][0].clone()
}

#[tokio::test]
async fn an_event_is_told_once_and_signed() {
    let server = Server::start().await;
    let receiver = Receiver::start(&[]).await;
    organization(&server, "Before").await;
    server.clock.advance(Duration::from_secs(1));
    let endpoint = endpoint(&server, &receiver, &["OrganizationCreated"]).await;
    let secret = endpoint["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"));
    let shown = server.json(&path(&endpoint, "")).await;
    assert!(shown.get("secret").is_none(), "{shown}");

    let own = organization(&server, "Own").await;
    let call = receiver.until(1).await[0].clone();
    let told = call.json();
    assert_eq!(told["type"], "OrganizationCreated");
    assert_eq!(told["data"]["aggregate_id"], own, "what was before it was made is not told");
    assert_eq!(told["data"]["event_id"], call.id());
    assert_eq!(call.headers["content-type"], "application/json");
    assert!(call.is_signed_by(secret));
    assert!(!call.is_signed_by("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    let delivery = newest(&server, &endpoint, |d| d["status"] == "delivered").await;
    assert_eq!((&delivery["attempt_count"], &delivery["last_status"]), (&json!(1), &json!(200)));

    // Another type of event is not asked for; the next of this one is the next call.
    server.customer("van-1").await;
    let calls = receiver.until(2).await;
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1].json()["type"], "OrganizationCreated");
}

#[tokio::test]
async fn what_does_not_get_through_is_tried_again_later_and_at_request() {
    let server = Server::start().await;
    let receiver = Receiver::start(&[500, 302]).await;
    let endpoint = endpoint(&server, &receiver, &["OrganizationCreated"]).await;
    organization(&server, "Acme").await;
    let first = newest(&server, &endpoint, |d| d["last_status"] == 500).await;
    assert_eq!((&first["status"], &first["attempt_count"]), (&json!("pending"), &json!(1)));
    let failing = server.json(&path(&endpoint, "")).await;
    assert!(failing["failing_since"].is_string(), "{failing}");
    // A redirect is an answer like any other that is no 2xx: nothing is sent to where it points.
    server.clock.advance(Duration::from_secs(5));
    newest(&server, &endpoint, |d| d["last_status"] == 302).await;
    server.clock.advance(Duration::from_secs(4 * 60));
    assert_eq!(receiver.calls().len(), 2, "the next is after five minutes");
    server.clock.advance(Duration::from_secs(60));
    let last = newest(&server, &endpoint, |d| d["status"] == "delivered").await;
    assert_eq!((&last["attempt_count"], &last["next_attempt_at"]), (&json!(3), &Value::Null));
    server.until(&path(&endpoint, ""), |endpoint| endpoint["failing_since"].is_null()).await;

    let replay = path(&endpoint, &format!("/deliveries/{}/replay", last["id"].as_str().unwrap()));
    assert_eq!(server.post(&replay, json!({})).await.status, 202);
    let calls = receiver.until(4).await;
    assert!(calls.iter().all(|call| call.id() == calls[0].id() && call.body == calls[0].body));
    newest(&server, &endpoint, |d| d["status"] == "delivered").await;
    let missing = path(&endpoint, "/deliveries/whd_1/replay");
    assert_eq!(server.post(&missing, json!({})).await.status, 404);
}

/// Seconds from an attempt that failed to the next, as Standard Webhooks proposes.
const RETRY_AFTER_S: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

async fn until_disabled(server: &Server, endpoint: &Value) -> Value {
    server.until(&path(endpoint, ""), |endpoint| endpoint["is_enabled"] == false).await
}

#[tokio::test]
async fn a_delivery_is_given_up_after_ten_attempts_and_the_endpoint_is_not() {
    let server = Server::start().await;
    let receiver = Receiver::start(&[503; 10]).await;
    let failing = endpoint(&server, &receiver, &["OrganizationCreated"]).await;
    organization(&server, "Acme").await;
    for (attempt, seconds) in (1_u64..).zip(RETRY_AFTER_S) {
        // While an attempt is under way the answer shown is that of the one before.
        let next = Timestamp(server.clock.now_us()).plus_us(i64::try_from(seconds).unwrap() * 1_000_000);
        let is_planned =
            |d: &Value| d["attempt_count"] == attempt && d["next_attempt_at"] == next.to_string();
        let tried = newest(&server, &failing, is_planned).await;
        assert_eq!((&tried["status"], &tried["last_status"]), (&json!("pending"), &json!(503)));
        server.clock.advance(Duration::from_secs(seconds));
    }
    let given_up = newest(&server, &failing, |d| d["status"] == "failed").await;
    assert_eq!((&given_up["attempt_count"], &given_up["next_attempt_at"]), (&json!(10), &Value::Null));
    // Three days are not five: the next event is told, and counts as a recovery.
    organization(&server, "Beta").await;
    newest(&server, &failing, |d| d["status"] == "delivered").await;
    let recovered = server.until(&path(&failing, ""), |endpoint| endpoint["failing_since"].is_null()).await;
    assert_eq!(recovered["is_enabled"], true);
    assert_eq!(receiver.calls().len(), 11);
}

#[tokio::test]
async fn an_endpoint_is_disabled_after_five_days_without_one_call_or_when_it_is_gone() {
    let server = Server::start().await;
    let receiver = Receiver::start(&[503; 10]).await;
    let failing = endpoint(&server, &receiver, &["OrganizationCreated"]).await;
    organization(&server, "Acme").await;
    newest(&server, &failing, |d| d["attempt_count"] == 1 && d["last_status"] == 503).await;
    server.clock.advance(Duration::from_secs(5 * 86_400));
    let disabled = until_disabled(&server, &failing).await;
    let patch = json!({ "is_enabled": true });
    let version = format!("\"{}\"", disabled["version"]);
    let enabled =
        server.send(&format!("PATCH {}", path(&failing, "")), &[("if-match", &version)], Some(&patch)).await;
    assert_eq!((enabled.status, &enabled.json()["failing_since"]), (200, &Value::Null), "{}", enabled.body);

    let leaving = Receiver::start(&[410]).await;
    let gone = endpoint(&server, &leaving, &["OrganizationCreated"]).await;
    organization(&server, "Beta").await;
    until_disabled(&server, &gone).await;
    assert_eq!(newest(&server, &gone, |d| d["status"] == "failed").await["last_status"], 410);
    assert_eq!(server.post(&path(&gone, "/ping"), json!({})).await.status, 409);
}

#[tokio::test]
async fn a_new_secret_signs_beside_the_one_before_for_a_day() {
    let server = Server::start().await;
    let receiver = Receiver::start(&[]).await;
    let endpoint = endpoint(&server, &receiver, &[]).await;
    let rotated = server.post(&path(&endpoint, "/rotate-secret"), json!({})).await.json();
    let (before, after) = (endpoint["secret"].as_str().unwrap(), rotated["secret"].as_str().unwrap());
    assert_ne!(before, after);
    let ping = server.post(&path(&endpoint, "/ping"), json!({})).await;
    assert_eq!(
        (ping.status, &ping.json()["event_type"]),
        (202, &json!("WebhookEndpointPinged")),
        "{}",
        ping.body
    );
    let call = receiver.until(1).await[0].clone();
    assert!(call.is_signed_by(before) && call.is_signed_by(after));
    server.clock.advance(Duration::from_secs(24 * 3_600));
    server.post(&path(&endpoint, "/ping"), json!({})).await;
    let call = receiver.until(2).await[1].clone();
    assert!(!call.is_signed_by(before) && call.is_signed_by(after));

    // Deleted, it is told nothing, and is not there.
    let deleted = server.send(&format!("DELETE {}", path(&endpoint, "")), &[], None).await;
    assert_eq!(deleted.status, 204, "{}", deleted.body);
    assert_eq!(server.get(&path(&endpoint, "")).await.status, 404);
    assert_eq!(server.json("/v1/webhook-endpoints").await["data"], json!([]));
}

#[tokio::test]
async fn an_organization_is_told_of_its_own_and_at_public_addresses() {
    let server = locked(|config| config).await;
    let (acme, beta) = (organization(&server, "Acme").await, organization(&server, "Beta").await);
    let (of_acme, of_beta) = (key_of(&server, "owner", &acme).await, key_of(&server, "owner", &beta).await);
    let refused = async |url: &str| {
        let answer = server.by(&of_acme, "POST /v1/webhook-endpoints", Some(&json!({ "url": url }))).await;
        assert_eq!(answer.status, 422, "{url}: {}", answer.body);
        answer.body
    };
    assert!(refused("http://example.com/").await.contains("must be https"));
    for inside in [
        "https://127.0.0.1/",
        "https://10.0.0.8/",
        "https://[::1]/",
        "https://db/",
        "https://169.254.169.254/",
    ] {
        assert!(refused(inside).await.contains("public address"), "{inside}");
    }
    for bad in
        ["ftp://example.com/", "no address", "https://user:pass@example.com/", "https://example.com/#x"]
    {
        assert!(refused(bad).await.contains("\"url\""), "{bad}");
    }
    let new = json!({ "url": "https://hooks.example/", "event_types": ["TripCompleted", "not a name"] });
    let answer = server.by(&of_acme, "POST /v1/webhook-endpoints", Some(&new)).await;
    assert!(answer.status == 422 && answer.body.contains("event_types"), "{}", answer.body);

    let new = json!({ "url": "https://hooks.example/", "event_types": ["Nothing"] });
    let made = server.by(&of_acme, "POST /v1/webhook-endpoints", Some(&new)).await;
    assert_eq!((made.status, &made.json()["organization_id"]), (201, &acme), "{}", made.body);
    let own = path(&made.json(), "");
    assert_eq!(server.by(&of_acme, &format!("GET {own}"), None).await.status, 200);
    for what in ["GET", "DELETE"] {
        assert_eq!(server.by(&of_beta, &format!("{what} {own}"), None).await.status, 404);
    }
    let seen = server.by(&of_beta, "GET /v1/webhook-endpoints", None).await.json();
    assert_eq!(seen["data"], json!([]));
}
