//! Devices: how their units get certificates, and how they lose them.

use std::{collections::BTreeSet, path::Path, time::Duration};

use api::{
    config::{Config, DevicesConfig},
    devices::authority::init,
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use wire::{renewal, signature::BatchSigner, time::Timestamp};
use x509_parser::{certificate::X509Certificate, pem::parse_x509_pem, prelude::FromDer};

use super::{
    Server,
    access::{key_of, locked},
    agents::vehicle,
};
use crate::{
    client::{Answer, send},
    server::NOW,
};

const DAY: Duration = Duration::from_secs(86_400);

/// A configuration with an authority of its own in a folder.
pub(super) fn signing(mut config: Config, folder: &Path) -> Config {
    let (cert, key) =
        init::make(&folder.join("ca"), ("Fleet", 3650), Timestamp::parse(NOW).unwrap()).unwrap();
    config.devices = DevicesConfig { ca_cert_file: Some(cert), ca_key_file: Some(key), ..config.devices };
    config
}

/// A server that signs, asked as the operator.
pub(super) async fn signing_server(change: impl FnOnce(Config) -> Config) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let mut server = locked(|config| change(signing(config, folder.path()))).await;
    // For another process of it.
    server.files = Some(folder);
    server
}

/// A vehicle's unit: its keys.
pub(super) struct Unit {
    key: KeyPair,
    pub(super) signer: BatchSigner,
}

impl Unit {
    pub(super) fn new(secret: u8) -> Self {
        Self { key: KeyPair::generate().unwrap(), signer: BatchSigner::from_secret(&[secret; 32]) }
    }

    /// The same, with another key for its certificate.
    pub(super) fn rekeyed(self) -> Self {
        Self { key: KeyPair::generate().unwrap(), ..self }
    }

    /// A request, which names whom it likes; another each time, as its signature is.
    pub(super) fn csr(&self) -> rcgen::CertificateSigningRequest {
        CertificateParams::new(vec!["broker".to_owned()]).unwrap().serialize_request(&self.key).unwrap()
    }

    pub(super) fn public_key(&self) -> String {
        hex(&self.signer.public_key())
    }

    pub(super) async fn enrol(&self, server: &Server, token: &str) -> Answer {
        let csr = self.csr().pem().unwrap();
        let body = json!({ "token": token, "csr_pem": csr, "signing_public_key": self.public_key() });
        open(server, "POST /v1/enrolments", &body).await
    }

    /// Asks for the certificate after this one.
    pub(super) async fn renew(&self, server: &Server, serial: &str) -> Answer {
        self.renew_proven_by(server, serial, &self.signer).await
    }

    async fn renew_proven_by(&self, server: &Server, serial: &str, signer: &BatchSigner) -> Answer {
        let csr = self.csr();
        let proof = hex(&signer.sign(&renewal::signed_bytes(serial, csr.der())));
        let body = json!({ "certificate_serial": serial, "csr_pem": csr.pem().unwrap(), "proof": proof });
        open(server, "POST /v1/enrolments/renew", &body).await
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request without a key.
pub(super) async fn open(server: &Server, what: &str, body: &Value) -> Answer {
    send(server.handle.addr, what, &[], Some(body)).await
}

pub(super) fn path(thing: &Value, rest: &str) -> String {
    let id = thing["id"].as_str().unwrap();
    let kind = if id.starts_with("dev_") { "devices" } else { "certificates" };
    format!("/v1/{kind}/{id}{rest}")
}

/// A device of the operator's in a vehicle of its own.
pub(super) async fn device(server: &Server, name: &str) -> Value {
    vehicle(server, name, &Value::Null).await;
    let new = json!({ "serial_number": format!("SN-{name}"), "vehicle_id": name });
    let made = server.post("/v1/devices", new).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.json()
}

pub(super) async fn token(server: &Server, device: &Value) -> String {
    let made = server.post(&path(device, "/enrolment-tokens"), json!({})).await;
    assert_eq!((made.status, made.header("cache-control")), (201, Some("no-store")), "{}", made.body);
    made.json()["token"].as_str().unwrap().to_owned()
}

/// A device whose unit has enrolled, and what it was told.
pub(super) async fn enrolled(server: &Server, name: &str, unit: &Unit) -> (Value, Value) {
    let device = device(server, name).await;
    let told = unit.enrol(server, &token(server, &device).await).await;
    assert_eq!(told.status, 200, "{}", told.body);
    (server.json(&path(&device, "")).await, told.json())
}

pub(super) async fn patch(server: &Server, device: &Value, change: Value) -> Answer {
    let now = server.json(&path(device, "")).await;
    let version = format!("\"{}\"", now["version"]);
    server.send(&format!("PATCH {}", path(device, "")), &[("if-match", &version)], Some(&change)).await
}

fn problem(answer: &Answer, status: u16) -> (String, String) {
    assert_eq!(answer.status, status, "{}", answer.body);
    let told = answer.json();
    (told["type"].as_str().unwrap().to_owned(), told["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_unit_enrols_once_by_its_token_and_has_the_name_of_its_vehicle() {
    let server = signing_server(|config| config).await;
    let device = device(&server, "van-1").await;
    assert_eq!((&device["status"], &device["vehicle_name"]), (&json!("new"), &json!("van-1")));
    let (token, unit) = (token(&server, &device).await, Unit::new(1));
    let answer = unit.enrol(&server, &token).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{}", answer.body);
    let told = answer.json();
    assert_eq!((&told["device_id"], &told["vehicle_name"]), (&device["id"], &json!("van-1")));
    assert_eq!(told["not_after"], "2027-02-21T12:00:00Z");
    assert_eq!(told["broker"], Value::Null);

    let pem = parse_x509_pem(told["certificate_pem"].as_str().unwrap().as_bytes()).unwrap().1;
    let (_, certificate) = X509Certificate::from_der(&pem.contents).unwrap();
    assert_eq!(certificate.subject().to_string(), "CN=van-1", "what the request names is nothing");
    assert!(certificate.subject_alternative_name().unwrap().is_none() && !certificate.is_ca());
    assert_eq!(certificate.issuer().to_string(), "CN=Fleet");
    assert!(certificate.key_usage().unwrap().unwrap().value.digital_signature());
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
    let at = |text: &str| Timestamp::parse(text).unwrap().0 / 1_000_000;
    assert_eq!(certificate.validity().not_before.timestamp(), at("2026-11-23T11:00:00Z"));
    assert!(certificate.raw_serial().len() == 16, "random and always as long");
    let ca = server.json("/v1/certificate-authority").await;
    assert_eq!((&ca["subject"], &ca["validity_days"]), (&json!("CN=Fleet"), &json!(90)));
    assert_eq!(told["chain_pem"], ca["certificate_pem"]);
    let pem = parse_x509_pem(ca["certificate_pem"].as_str().unwrap().as_bytes()).unwrap().1;
    let (_, own) = X509Certificate::from_der(&pem.contents).unwrap();
    certificate.verify_signature(Some(own.public_key())).unwrap();

    let now = server.json(&path(&device, "")).await;
    assert_eq!((&now["status"], &now["signing_public_key"]), (&json!("enrolled"), &json!(unit.public_key())));
    let serial = hex(certificate.raw_serial());
    assert_eq!(now["certificate"]["serial"], serial.as_str());
    let page = server.json(&format!("/v1/certificates?device_id={}", device["id"].as_str().unwrap())).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    let listed = &page["data"][0];
    assert_eq!((&listed["serial"], &listed["issued_by"]), (&json!(serial), &json!("enrolment")));
    let whole = server.json(&path(listed, "")).await;
    assert_eq!(whole["certificate_pem"], told["certificate_pem"]);
    let keys = server.json("/v1/signing-keys").await;
    assert_eq!(keys["data"][0]["signing_public_key"], unit.public_key().as_str());

    // The answer was lost: the same again, though the request's signature is another. With another key it is not.
    assert_eq!(unit.enrol(&server, &token).await.json(), told);
    assert_eq!(Unit::new(1).enrol(&server, &token).await.status, 401);
    server.clock.advance(Duration::from_secs(600));
    problem(&unit.enrol(&server, &token).await, 401);

    let log = server.json("/v1/audit-log").await;
    let rows = log["data"].as_array().unwrap().iter().filter(|row| row["route"] == "/v1/enrolments");
    let rows: Vec<_> = rows.map(|row| (&row["actor"], &row["role"], &row["result"])).collect();
    let (id, role, done) = (&device["id"], &json!("device"), &json!("done"));
    assert_eq!(rows.iter().filter(|row| **row == (id, role, done)).count(), 2, "{log}");
    assert_eq!(rows.len(), 3, "who proved nothing has no row, who knows a used token is refused: {log}");
    let events = server.get("/v1/events?limit=200").await.body;
    assert!(!events.contains(&token) && !events.contains("rle_"), "the log has no secret");
}

#[tokio::test]
async fn a_token_that_is_unknown_used_replaced_or_expired_is_refused_in_the_same_words() {
    let server = signing_server(|config| config).await;
    let (device, other) = (device(&server, "van-1").await, device(&server, "van-2").await);
    let unit = Unit::new(1);
    let replaced = token(&server, &device).await;
    let expires = server.post(&path(&device, "/enrolment-tokens"), json!({ "valid_for_h": 1 })).await.json();
    assert_eq!(expires["expires_at"], "2026-11-23T13:00:00Z");
    let used = token(&server, &other).await;
    assert_eq!(Unit::new(2).enrol(&server, &used).await.status, 200);
    server.clock.advance(Duration::from_secs(3_600));
    let expired = expires["token"].as_str().unwrap();
    let mut words = BTreeSet::new();
    let unknown = format!("rle_{}", "0".repeat(64));
    for token in [&replaced, &used, expired, &unknown, "rle_", "", &"x".repeat(10_000)] {
        words.insert(problem(&unit.enrol(&server, token).await, 401));
    }
    assert_eq!(words.len(), 1, "{words:?}");
    let log = server.get("/v1/audit-log").await.body;
    assert!(!log.contains("refused 401"), "who has nothing to show fills no log: {log}");

    for hours in [0, 721] {
        let new = json!({ "valid_for_h": hours });
        assert_eq!(server.post(&path(&device, "/enrolment-tokens"), new).await.status, 422);
    }
    let shelf = server.post("/v1/devices", json!({ "serial_number": "SN-9" })).await.json();
    let refused = server.post(&path(&shelf, "/enrolment-tokens"), json!({})).await;
    assert!(problem(&refused, 409).1.contains("in no vehicle"), "{}", refused.body);
    // A token does not outlive the place it was made for.
    let (moved, retired) = (token(&server, &device).await, token(&server, &other).await);
    assert_eq!(patch(&server, &device, json!({ "vehicle_id": null })).await.status, 200);
    assert_eq!(server.post(&path(&other, "/retire"), json!({})).await.status, 200);
    for token in [moved, retired] {
        problem(&unit.enrol(&server, &token).await, 401);
    }
    let refused = server.post(&path(&other, "/enrolment-tokens"), json!({})).await;
    assert!(problem(&refused, 409).1.contains("retired"), "{}", refused.body);
}

#[tokio::test]
async fn a_unit_renews_by_its_key_while_its_certificate_is_good_and_a_while_after() {
    let server = signing_server(|mut config| {
        (config.devices.certificate_days, config.devices.renew_grace_days) = (9, 3);
        config
    })
    .await;
    let unit = Unit::new(1);
    let (device, told) = enrolled(&server, "van-1", &unit).await;
    let serial = device["certificate"]["serial"].as_str().unwrap().to_owned();
    assert_eq!(
        (&told["not_after"], &told["renew_after"]),
        (&json!("2026-12-02T12:00:00Z"), &json!("2026-11-29T11:40:00Z"))
    );

    let unit = unit.rekeyed();
    let wrong = unit.renew_proven_by(&server, &serial, &BatchSigner::from_secret(&[9; 32])).await;
    let (kind, detail) = problem(&wrong, 401);
    assert!(kind.ends_with(":unproven"), "{kind}");
    assert_eq!(problem(&unit.renew(&server, &"4".repeat(32)).await, 401).1, detail);
    let csr = unit.csr();
    let absent = json!({ "certificate_serial": serial, "csr_pem": csr.pem().unwrap() });
    assert_eq!(open(&server, "POST /v1/enrolments/renew", &absent).await.status, 422);
    // A proof for one request is none for another, nor is one without the words before it.
    let other = hex(&unit.signer.sign(&renewal::signed_bytes(&serial, unit.csr().der())));
    let bare = hex(&unit.signer.sign(csr.der()));
    for proof in [other, bare, String::new(), "zz".repeat(64)] {
        let body = json!({ "certificate_serial": serial, "csr_pem": csr.pem().unwrap(), "proof": proof });
        assert_eq!(problem(&open(&server, "POST /v1/enrolments/renew", &body).await, 401).1, detail);
    }

    let renewed = unit.renew(&server, &serial).await;
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    assert_eq!(unit.renew(&server, &serial).await.json(), renewed.json(), "a lost answer is given again");
    let page = server.json("/v1/certificates?status=active").await;
    let of = |by: &str| page["data"].as_array().unwrap().iter().find(|c| c["issued_by"] == by).unwrap();
    assert_eq!(page["data"].as_array().unwrap().len(), 2, "the one before is still good");
    assert_eq!(of("enrolment")["replaced_by_id"], of("renewal")["id"]);
    let newest = server.json(&path(&device, "")).await["certificate"].clone();
    assert_eq!(newest["serial"], of("renewal")["serial"]);

    // Ended, but not for long.
    server.clock.advance(11 * DAY);
    let expired = server.json("/v1/certificates?status=expired").await;
    assert_eq!(expired["data"].as_array().unwrap().len(), 2);
    assert_eq!(server.json(&path(&device, "")).await["certificate"], Value::Null);
    let serial = newest["serial"].as_str().unwrap();
    assert_eq!(unit.renew(&server, serial).await.status, 200);
    server.clock.advance(2 * DAY);
    let late = unit.rekeyed().renew(&server, serial).await;
    assert!(problem(&late, 409).1.contains("more than 3 days ago"), "{}", late.body);
    let soon = server.json("/v1/certificates?status=active&expires_before=2026-12-14T00:00:00Z").await;
    assert_eq!(soon["data"].as_array().unwrap().len(), 1);
    let sooner = server.json("/v1/certificates?status=active&expires_before=2026-12-13T00:00:00Z").await;
    assert_eq!(sooner["data"], json!([]));
}

#[tokio::test]
async fn a_unit_that_renews_over_and_over_is_told_to_come_back_tomorrow() {
    let server = signing_server(|config| config).await;
    let mut unit = Unit::new(1);
    let (device, _) = enrolled(&server, "van-1", &unit).await;
    let serial = device["certificate"]["serial"].as_str().unwrap();
    for _ in 0..24 {
        unit = unit.rekeyed();
        assert_eq!(unit.renew(&server, serial).await.status, 200);
    }
    unit = unit.rekeyed();
    let refused = unit.renew(&server, serial).await;
    assert!(problem(&refused, 409).1.contains("24 times within a day"), "{}", refused.body);
    server.clock.advance(DAY);
    assert_eq!(unit.renew(&server, serial).await.status, 200);
    // A vehicle with a name of the cloud's own would be the cloud to a broker.
    for name in ["ingest", "operator", "api"] {
        vehicle(&server, name, &Value::Null).await;
        let new = json!({ "serial_number": name, "vehicle_id": name });
        let device = server.post("/v1/devices", new).await.json();
        let refused = server.post(&path(&device, "/enrolment-tokens"), json!({})).await;
        assert!(problem(&refused, 409).1.contains("of the cloud's own"), "{}", refused.body);
    }
}

#[tokio::test]
async fn what_is_revoked_or_retired_is_not_renewed() {
    let server = signing_server(|config| config).await;
    let (unit, gone) = (Unit::new(1), Unit::new(2));
    let (device, _) = enrolled(&server, "van-1", &unit).await;
    let serial = device["certificate"]["serial"].as_str().unwrap();
    let certificate = json!({ "id": device["certificate"]["id"] });
    let revoke =
        async |reason: &str| server.post(&path(&certificate, "/revoke"), json!({ "reason": reason })).await;
    assert_eq!(revoke("bored").await.status, 422);
    let revoked = revoke("key_compromise").await;
    assert_eq!(revoked.status, 200, "{}", revoked.body);
    let revoked = revoked.json();
    assert_eq!((&revoked["status"], &revoked["revoked_at"]), (&json!("revoked"), &json!(NOW)));
    assert_eq!(revoke("key_compromise").await.json(), revoked, "twice is once");
    let again = revoke("superseded").await;
    assert!(problem(&again, 409).1.contains("key_compromise"), "{}", again.body);
    let refused = unit.renew(&server, serial).await;
    assert!(problem(&refused, 409).1.contains("revoked"), "{}", refused.body);
    assert_eq!(server.json(&path(&device, "")).await["certificate"], Value::Null);
    // A person lets it in again.
    assert_eq!(unit.enrol(&server, &token(&server, &device).await).await.status, 200);

    let (device, _) = enrolled(&server, "van-2", &gone).await;
    let retired = server.post(&path(&device, "/retire"), json!({})).await.json();
    assert_eq!((&retired["status"], &retired["vehicle_id"]), (&json!("retired"), &Value::Null));
    assert_eq!(gone.renew(&server, device["certificate"]["serial"].as_str().unwrap()).await.status, 401);
    let page = server.json(&format!("/v1/certificates?device_id={}", device["id"].as_str().unwrap())).await;
    assert_eq!(page["data"][0]["revocation_reason"], "cessation_of_operation");
    assert_eq!(server.post(&path(&device, "/retire"), json!({})).await.json(), retired, "twice is once");
    assert_eq!(patch(&server, &device, json!({ "vehicle_id": "van-2" })).await.status, 409);
    let name = json!({ "name": "scrap", "hardware_model": "T-1" });
    assert_eq!(patch(&server, &device, name).await.json()["name"], "scrap");
}

#[tokio::test]
async fn in_another_vehicle_a_device_has_no_identity_before_it_enrols_there() {
    let server = signing_server(|config| config).await;
    let unit = Unit::new(1);
    let (device, _) = enrolled(&server, "van-1", &unit).await;
    vehicle(&server, "van-2", &Value::Null).await;
    let serial = device["certificate"]["serial"].as_str().unwrap();
    let unchanged = patch(&server, &device, json!({ "vehicle_id": "van-1", "name": "front" })).await.json();
    assert_eq!((&unchanged["status"], &unchanged["name"]), (&json!("enrolled"), &json!("front")));

    let moved = patch(&server, &device, json!({ "vehicle_id": "van-2" })).await.json();
    assert_eq!((&moved["status"], &moved["vehicle_name"]), (&json!("new"), &json!("van-2")));
    assert_eq!((&moved["certificate"], &moved["signing_public_key"]), (&Value::Null, &Value::Null));
    let page = server.json("/v1/certificates?status=revoked").await;
    assert_eq!(page["data"][0]["revocation_reason"], "affiliation_changed");
    assert_eq!(server.json("/v1/signing-keys").await["data"], json!([]));
    assert_eq!(unit.renew(&server, serial).await.status, 401);
    let told = unit.enrol(&server, &token(&server, &device).await).await.json();
    assert_eq!(told["vehicle_name"], "van-2");
    let of_vehicle = server.json("/v1/devices?vehicle_id=van-2&status=enrolled").await;
    assert_eq!(of_vehicle["data"][0]["id"], device["id"]);
    assert_eq!(server.json("/v1/devices?vehicle_id=van-1").await["data"], json!([]));

    // Two in one vehicle would be one to the broker.
    let new = json!({ "serial_number": "SN-2", "vehicle_id": "van-2" });
    let second = server.post("/v1/devices", new.clone()).await;
    assert!(problem(&second, 409).1.contains("has a device already"), "{}", second.body);
    let out = patch(&server, &device, json!({ "vehicle_id": null })).await.json();
    assert_eq!((&out["vehicle_id"], &out["certificate"]), (&Value::Null, &Value::Null));
    assert_eq!(server.json("/v1/certificates?status=active").await["data"], json!([]));
    assert_eq!(server.post("/v1/devices", new).await.status, 201);

    for (new, part) in [
        (json!({ "serial_number": " " }), "serial_number"),
        (json!({ "serial_number": "x", "name": "n".repeat(121) }), "name"),
        (json!({ "serial_number": "x", "vehicle_id": "van-9" }), "no vehicle van-9"),
        (json!({ "serial_number": "x", "organization_id": "org_none" }), "no organization"),
    ] {
        let refused = server.post("/v1/devices", new).await;
        assert_eq!(refused.status, 422, "{}", refused.body);
        assert!(refused.body.contains(part), "{part} in {}", refused.body);
    }
    let twice = server.post("/v1/devices", json!({ "serial_number": "SN-2" })).await;
    assert!(problem(&twice, 409).1.contains("serial number SN-2"), "{}", twice.body);
    let stale = server
        .send(&format!("PATCH {}", path(&device, "")), &[("if-match", "\"1\"")], Some(&json!({})))
        .await;
    assert_eq!(stale.status, 412, "{}", stale.body);
}

#[tokio::test]
async fn an_organization_has_its_own_devices_alone() {
    let server = signing_server(|config| config).await;
    let mut keys = Vec::new();
    for (name, id) in [("Acme", "van-1"), ("Bolt", "van-2")] {
        let new = json!({ "name": name, "currency": "EUR", "time_zone": "Europe/Copenhagen" });
        let organization = server.post("/v1/organizations", new).await.json()["id"].clone();
        vehicle(&server, id, &organization).await;
        keys.push((key_of(&server, "device_admin", &organization).await, organization));
    }
    let ((own, acme), (other, bolt)) = (&keys[0], &keys[1]);
    let new = json!({ "serial_number": "SN-1", "vehicle_id": "van-1" });
    let device = server.by(own, "POST /v1/devices", Some(&new)).await.json();
    assert_eq!(&device["organization_id"], acme);
    let made =
        server.by(own, &format!("POST {}", path(&device, "/enrolment-tokens")), Some(&json!({}))).await;
    let told = Unit::new(1).enrol(&server, made.json()["token"].as_str().unwrap()).await;
    assert_eq!(told.status, 200, "{}", told.body);
    let page = server.by(own, "GET /v1/certificates", None).await.json();
    let certificate = page["data"][0].clone();
    assert_eq!(&certificate["organization_id"], acme);
    // The same serial number is another's in another organization; a vehicle of another's is not there.
    let refused = server.by(other, "POST /v1/devices", Some(&new)).await;
    assert!(refused.status == 422 && refused.body.contains("no vehicle van-1"), "{}", refused.body);
    let same = server.by(other, "POST /v1/devices", Some(&json!({ "serial_number": "SN-1" }))).await;
    assert_eq!((same.status, &same.json()["organization_id"]), (201, bolt));
    let across = json!({ "serial_number": "SN-9", "vehicle_id": "van-1", "organization_id": bolt });
    let across = server.post("/v1/devices", across).await;
    assert!(across.status == 422 && across.body.contains("another organization"), "{}", across.body);
    for (what, body) in [
        (format!("GET {}", path(&device, "")), None),
        (format!("POST {}", path(&device, "/retire")), Some(json!({}))),
        (format!("POST {}", path(&device, "/enrolment-tokens")), Some(json!({}))),
        (format!("POST {}", path(&device, "/certificates")), Some(json!({ "csr_pem": "" }))),
        (format!("GET {}", path(&certificate, "")), None),
        (format!("POST {}", path(&certificate, "/revoke")), Some(json!({ "reason": "unspecified" }))),
        ("GET /v1/devices?vehicle_id=van-1".to_owned(), None),
    ] {
        assert_eq!(server.by(other, &what, body.as_ref()).await.status, 404, "{what}");
    }
    for list in ["certificates", "signing-keys", "devices?status=enrolled"] {
        assert_eq!(
            server.by(other, &format!("GET /v1/{list}"), None).await.json()["data"],
            json!([]),
            "{list}"
        );
    }
    // The vehicle is sold: whoever had it enrols nothing into it any more.
    let what = "PATCH /v1/vehicles/van-1";
    let sold = server.send(what, &[("if-match", "\"1\"")], Some(&json!({ "organization_id": bolt }))).await;
    assert_eq!(sold.status, 200, "{}", sold.body);
    let made =
        server.by(own, &format!("POST {}", path(&device, "/enrolment-tokens")), Some(&json!({}))).await;
    assert!(problem(&made, 409).1.contains("another organization"), "{}", made.body);
}

/// A device that moved and one that was retired, with certificates that were replaced and revoked.
pub(super) async fn story(server: &Server) {
    let unit = Unit::new(1);
    let (moved, _) = enrolled(server, "box-1", &unit).await;
    let serial = moved["certificate"]["serial"].as_str().unwrap();
    assert_eq!(unit.rekeyed().renew(server, serial).await.status, 200);
    vehicle(server, "box-2", &Value::Null).await;
    assert_eq!(patch(server, &moved, json!({ "vehicle_id": "box-2", "name": "rear" })).await.status, 200);
    let told = Unit::new(3).enrol(server, &token(server, &moved).await).await;
    assert_eq!(told.status, 200, "{}", told.body);
    let (retired, _) = enrolled(server, "box-3", &Unit::new(2)).await;
    assert_eq!(server.post(&path(&retired, "/retire"), json!({})).await.status, 200);
    assert_eq!(server.post("/v1/devices", json!({ "serial_number": "SN-shelf" })).await.status, 201);
}

/// A device and its certificate of an organization, by its key for its vehicle.
pub(super) async fn of_tenant(server: &Server, (key, vehicle): (&str, &str)) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let new = json!({ "serial_number": format!("SN-{vehicle}"), "vehicle_id": vehicle });
    let device = server.by(key, "POST /v1/devices", Some(&new)).await.json();
    let made =
        server.by(key, &format!("POST {}", path(&device, "/enrolment-tokens")), Some(&json!({}))).await;
    let told = Unit::new(7).enrol(server, made.json()["token"].as_str().unwrap()).await;
    assert_eq!(told.status, 200, "{}", told.body);
    let device = server.by(key, &format!("GET {}", path(&device, "")), None).await.json();
    (text(&device["id"]), text(&device["certificate"]["id"]))
}
