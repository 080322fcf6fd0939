//! Certificates as other programs see them: requests by `openssl`, lists of revoked ones checked by it, an authority of
//! the operator's own, and the files that brokers and ingest read.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use api::{config::DevicesConfig, devices::authority::init};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};
use wire::time::Timestamp;
use x509_parser::{extensions::ParsedExtension, parse_x509_crl, pem::parse_x509_pem, x509::ReasonCode};

use super::{
    Server,
    access::{OPERATOR, locked},
    agents::vehicle,
    devices::{Unit, device, enrolled, hex, open, path, signing, signing_server, token},
};
use crate::{client::bytes_of, server::NOW};

/// Runs `openssl`; what it said, and whether it was content.
fn openssl(folder: &Path, arguments: &str) -> (bool, String) {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(arguments.split(' ')).stdin(Stdio::null());
    let output = command.output().expect("openssl is needed for this test");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// A request by `openssl` with a key made so.
fn request(folder: &Path, (key, sign): (&str, &str)) -> String {
    let made = openssl(folder, &format!("genpkey {key} -out made.key"));
    assert!(made.0, "{}", made.1);
    let made =
        openssl(folder, &format!("req -new -key made.key -subj /CN=someone/O=else {sign} -out made.csr"));
    assert!(made.0, "{}", made.1);
    fs::read_to_string(folder.join("made.csr")).unwrap()
}

/// The time as `openssl verify -attime` takes it.
fn seconds(server: &Server) -> i64 {
    service::Clock::now_us(&*server.clock) / 1_000_000
}

async fn list(server: &Server) -> Vec<u8> {
    let answer = bytes_of(server.handle.addr, "GET /v1/certificate-authority/crl.der", &[], &[]).await;
    let head = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let told = String::from_utf8_lossy(&answer[..head]).to_lowercase();
    assert!(told.contains(" 200 ") && told.contains("content-type: application/pkix-crl"), "{told}");
    answer[head + 4..].to_vec()
}

/// The number of a list, and the serial numbers on it with why.
fn read(der: &[u8]) -> (u32, Vec<(String, Option<ReasonCode>)>) {
    let (rest, list) = parse_x509_crl(der).unwrap();
    assert!(rest.is_empty());
    assert!(list.tbs_cert_list.version.is_some_and(|v| v.0 == 1), "version 2");
    let of_key = |e: &&x509_parser::extensions::X509Extension<'_>| {
        matches!(e.parsed_extension(), ParsedExtension::AuthorityKeyIdentifier(_))
    };
    assert!(list.extensions().iter().find(of_key).is_some(), "RFC 5280, 5.2.1");
    let revoked = list.iter_revoked_certificates();
    let revoked = revoked.map(|c| (hex(c.raw_serial()), c.reason_code().map(|(_, reason)| reason)));
    let mut revoked: Vec<_> = revoked.collect();
    revoked.sort_by(|a, b| a.0.cmp(&b.0));
    (u32::try_from(list.crl_number().unwrap()).unwrap(), revoked)
}

async fn revoke(server: &Server, device: &Value, reason: &str) -> String {
    let certificate = json!({ "id": device["certificate"]["id"] });
    let revoked = server.post(&path(&certificate, "/revoke"), json!({ "reason": reason })).await;
    assert_eq!(revoked.status, 200, "{}", revoked.body);
    device["certificate"]["serial"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn keys_that_are_weak_or_requests_that_are_forged_are_refused_and_cost_no_token() {
    let server = signing_server(|config| config).await;
    let (device, folder) = (device(&server, "van-1").await, tempfile::tempdir().unwrap());
    let token = token(&server, &device).await;
    let ask = async |csr: &str| {
        open(&server, "POST /v1/enrolments", &json!({ "token": token, "csr_pem": csr })).await
    };
    const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:";
    const EC: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:";
    let good = request(folder.path(), (&format!("{EC}P-256"), "-sha256"));
    for (csr, part) in [
        (request(folder.path(), (&format!("{RSA}1024"), "-sha256")), "too weak"),
        (request(folder.path(), (&format!("{RSA}2048"), "-sha1")), "SHA-1"),
        (request(folder.path(), (&format!("{EC}P-521"), "-sha512")), "too weak"),
        (request(folder.path(), (&format!("{EC}secp256k1"), "-sha256")), "too weak"),
        ("nothing".to_owned(), "must be a certificate request"),
        (good.replace("REQUEST", "NOTHING"), "must be a certificate request"),
        ("x".repeat(20_000), "at most 16 KiB"),
    ] {
        let refused = ask(&csr).await;
        assert_eq!(refused.status, 422, "{part}: {}", refused.body);
        let fault = &refused.json()["errors"][0];
        assert_eq!(fault["field"], "csr_pem");
        assert!(fault["message"].as_str().unwrap().contains(part), "{part} in {fault}");
    }
    // The key of one in the request of another.
    let pem = parse_x509_pem(good.as_bytes()).unwrap().1;
    let mut der = pem.contents.clone();
    let place = der.windows(7).position(|w| w == b"someone").unwrap();
    der[place] = b'S';
    fs::write(folder.path().join("forged.der"), &der).unwrap();
    let to_pem = openssl(folder.path(), "req -inform DER -in forged.der -outform PEM -out forged.csr");
    assert!(to_pem.0, "{}", to_pem.1);
    let refused = ask(&fs::read_to_string(folder.path().join("forged.csr")).unwrap()).await;
    assert!(refused.status == 422 && refused.body.contains("not signed by its own key"), "{}", refused.body);
    let key = json!({ "token": token, "csr_pem": good, "signing_public_key": "00" });
    assert_eq!(open(&server, "POST /v1/enrolments", &key).await.status, 422);
    let big = json!({ "token": "t".repeat(40_000), "csr_pem": good });
    assert_eq!(open(&server, "POST /v1/enrolments", &big).await.status, 413);
    // What is strong enough is taken, by hand too.
    for kind in [format!("{RSA}2048"), format!("{EC}P-384"), "-algorithm ED25519".to_owned()] {
        let sign = if kind.contains("ED25519") { "-batch" } else { "-sha256" };
        let csr = request(folder.path(), (&kind, sign));
        let issued = server.post(&path(&device, "/certificates"), json!({ "csr_pem": csr })).await;
        assert_eq!(issued.status, 201, "{kind}: {}", issued.body);
        let issued = issued.json();
        assert_eq!((&issued["issued_by"], &issued["common_name"]), (&json!("operator"), &json!("van-1")));
        assert!(issued["chain_pem"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    }
    let taken = ask(&good).await;
    assert_eq!(taken.status, 200, "none of that used the token: {}", taken.body);
}

#[tokio::test]
async fn a_list_has_who_was_revoked_and_openssl_refuses_them_alone() {
    let server = signing_server(|config| config).await;
    let empty = list(&server).await;
    assert_eq!(read(&empty), (1, vec![]));
    assert_eq!(list(&server).await, empty, "it is made once");
    let (good, good_told) = enrolled(&server, "van-1", &Unit::new(1)).await;
    let (bad, bad_told) = enrolled(&server, "van-2", &Unit::new(2)).await;
    let (plain, _) = enrolled(&server, "van-3", &Unit::new(3)).await;
    assert_eq!(list(&server).await, empty, "what is issued changes nothing");
    let bad_serial = revoke(&server, &bad, "key_compromise").await;
    let plain_serial = revoke(&server, &plain, "unspecified").await;
    let der = list(&server).await;
    // RFC 5280, 5.3.1: nothing is said where nobody said why.
    let mut wanted = vec![(bad_serial, Some(ReasonCode::KeyCompromise)), (plain_serial, None)];
    wanted.sort_by(|a, b| a.0.cmp(&b.0));
    let (number, revoked) = read(&der);
    assert_eq!(revoked, wanted);
    assert!(number > 1, "{number}");
    let devices = server.devices.clone().unwrap();
    let second = Server::start_at(server.place.again(), |config| api::Config { devices, ..config }).await;
    assert_eq!(list(&second).await, der, "the same bytes of every process");

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let ca = server.json("/v1/certificate-authority").await;
    write("ca.pem", ca["certificate_pem"].as_str().unwrap());
    write("good.pem", good_told["certificate_pem"].as_str().unwrap());
    write("bad.pem", bad_told["certificate_pem"].as_str().unwrap());
    let pem = open(&server, "GET /v1/certificate-authority/crl.pem", &Value::Null).await;
    assert_eq!(pem.header("content-type"), Some("application/x-pem-file"));
    write("crl.pem", &pem.body);
    let verify = |at: i64, file: &str| {
        openssl(
            folder.path(),
            &format!(
                "verify -attime {at} -purpose sslclient -crl_check -CAfile ca.pem -CRLfile crl.pem {file}"
            ),
        )
    };
    let now = seconds(&server);
    let said = verify(now, "good.pem");
    assert!(said.0, "{}", said.1);
    let said = verify(now, "bad.pem");
    assert!(!said.0 && said.1.contains("certificate revoked"), "{}", said.1);
    // Its end is what was told; a broker would let nobody in then.
    assert_eq!(ca["crl_next_update_at"], "2026-11-30T12:00:00Z");
    let said = verify(now + 8 * 86_400, "good.pem");
    assert!(!said.0 && said.1.contains("CRL has expired"), "{}", said.1);
    server.clock.advance(Duration::from_secs(84 * 3600));
    let renewed = list(&server).await;
    assert_eq!(read(&renewed), (number + 1, wanted), "half of its time is over");
    assert_eq!(server.json(&path(&good, "")).await["status"], "enrolled");
}

/// A certificate of an authority, signed by one above or itself.
fn authority(folder: &Path, name: &str, above: Option<&Issuer<'_, KeyPair>>) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "DK");
    params
        .distinguished_name
        .push(DnType::OrganizationName, rcgen::DnValue::PrintableString("Acme".try_into().unwrap()));
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2026, 12, 31);
    let certificate = match above {
        Some(above) => params.signed_by(&key, above).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    Issuer::new(params, key)
}

#[tokio::test]
async fn an_authority_of_the_operators_own_signs_and_its_chain_leads_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| Some(folder.path().join(name));
    let root = authority(folder.path(), "root", None);
    authority(folder.path(), "issuing", Some(&root));
    fs::write(folder.path().join("broker-ca.pem"), fs::read(folder.path().join("root.pem")).unwrap())
        .unwrap();
    let server = locked(|mut config| {
        config.devices = DevicesConfig {
            ca_cert_file: file("issuing.pem"),
            ca_key_file: file("issuing.key"),
            ca_chain_file: file("root.pem"),
            broker_address: Some("broker.example.org:8883".to_owned()),
            broker_ca_file: file("broker-ca.pem"),
            ..config.devices
        };
        config
    })
    .await;
    let (_, told) = enrolled(&server, "van-1", &Unit::new(1)).await;
    assert_eq!(told["not_after"], "2026-12-31T00:00:00Z", "no longer than who signs it");
    assert_eq!(told["broker"]["address"], "broker.example.org:8883");
    let root = fs::read_to_string(folder.path().join("root.pem")).unwrap();
    assert_eq!(told["broker"]["ca_pem"], root.as_str());
    assert_eq!(told["chain_pem"].as_str().unwrap().matches("BEGIN CERTIFICATE").count(), 2);
    fs::write(folder.path().join("leaf.pem"), told["certificate_pem"].as_str().unwrap()).unwrap();
    fs::write(folder.path().join("chain.pem"), told["chain_pem"].as_str().unwrap()).unwrap();
    fs::write(
        folder.path().join("crl.pem"),
        open(&server, "GET /v1/certificate-authority/crl.pem", &Value::Null).await.body,
    )
    .unwrap();
    let now = seconds(&server);
    let said = openssl(
        folder.path(),
        &format!(
            "verify -attime {now} -crl_check -CAfile root.pem -untrusted chain.pem -CRLfile crl.pem leaf.pem"
        ),
    );
    assert!(said.0, "{}", said.1);
    // Past its end it signs nothing.
    server.clock.advance(Duration::from_secs(40 * 86_400));
    let second = device(&server, "van-2").await;
    let refused = Unit::new(2).enrol(&server, &token(&server, &second).await).await;
    assert!(refused.status == 409 && refused.body.contains("authority ended"), "{}", refused.body);

    // A chain that leads elsewhere, or a certificate of no authority, is told at the start.
    authority(folder.path(), "stranger", None);
    let open = |cert: &str, key: &str, chain: &str| {
        let at = |name: &str| folder.path().join(name);
        let opened = api::devices::authority::Authority::open(&at(cert), &at(key), Some(&at(chain)));
        opened.unwrap_err().to_string()
    };
    assert!(open("issuing.pem", "issuing.key", "stranger.pem").contains("did not sign the one before it"));
    assert!(open("leaf.pem", "issuing.key", "root.pem").contains("not that of the certificate"));
    assert!(open("none.pem", "issuing.key", "root.pem").contains("cannot read"));
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    fs::write(folder.path().join("leaf.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(folder.path().join("leaf.key"), key.serialize_pem()).unwrap();
    assert!(open("leaf.pem", "leaf.key", "root.pem").contains("it is of no authority"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    fs::write(folder.path().join("leaf.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    assert!(open("leaf.pem", "leaf.key", "root.pem").contains("cRLSign"));
}

#[tokio::test]
async fn without_an_authority_devices_are_kept_and_it_is_said_what_is_missing() {
    let server = Server::start().await;
    let device = device(&server, "van-1").await;
    for (what, body) in [
        (format!("POST {}", path(&device, "/enrolment-tokens")), json!({})),
        (format!("POST {}", path(&device, "/certificates")), json!({ "csr_pem": "x" })),
        ("POST /v1/enrolments".to_owned(), json!({ "token": "x", "csr_pem": "x" })),
        (
            "POST /v1/enrolments/renew".to_owned(),
            json!({ "certificate_serial": "1", "csr_pem": "x", "proof": "x" }),
        ),
    ] {
        let refused = server.send(&what, &[], Some(&body)).await;
        assert_eq!(refused.status, 409, "{what}: {}", refused.body);
        assert!(refused.body.contains("no certificate authority"), "{}", refused.body);
    }
    for what in ["", "/crl.pem", "/crl.der"] {
        let missing = server.get(&format!("/v1/certificate-authority{what}")).await;
        assert_eq!(missing.status, 404);
        assert!(missing.body.contains("devices.ca_cert_file is not set"), "{}", missing.body);
    }
}

#[tokio::test]
async fn an_address_without_a_key_asks_so_often_and_no_more() {
    let server = signing_server(|config| config).await;
    let mut answers = Vec::new();
    for _ in 0..41 {
        answers.push(open(&server, "GET /v1/certificate-authority/crl.pem", &Value::Null).await);
    }
    let last = answers.pop().unwrap();
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!((last.status, last.header("retry-after")), (429, Some("1")), "{}", last.body);
    // Who has a key is counted by that.
    assert_eq!(server.by(OPERATOR, "GET /v1/devices", None).await.status, 200);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(open(&server, "GET /v1/certificate-authority/crl.pem", &Value::Null).await.status, 200);
}

/// Waits until a file is as wanted.
async fn until(path: &Path, wanted: impl Fn(Option<&str>) -> bool) {
    let waiting = async {
        while !wanted(fs::read_to_string(path).ok().as_deref()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    waited.unwrap_or_else(|_| panic!("{}: {:?}", path.display(), fs::read_to_string(path)));
}

#[tokio::test]
async fn the_files_of_brokers_and_ingest_are_as_the_database_says_also_after_a_fall() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, crl) = (folder.path().join("keys"), folder.path().join("crl.pem"));
    let server = signing_server(|mut config| {
        (config.devices.signing_keys_dir, config.devices.crl_file) = (Some(keys.clone()), Some(crl.clone()));
        config
    })
    .await;
    let key = |vehicle: &str| keys.join(format!("{vehicle}.pub"));
    let is = |unit: &Unit| {
        let wanted = format!("{}\n", unit.public_key());
        move |text: Option<&str>| text == Some(&wanted)
    };
    until(&crl, |text| text.is_some_and(|text| text.contains("BEGIN X509 CRL"))).await;
    let before = fs::read_to_string(&crl).unwrap();
    let units = [Unit::new(1), Unit::new(2), Unit::new(3)];
    let (moves, _) = enrolled(&server, "van-1", &units[0]).await;
    let (retires, _) = enrolled(&server, "van-2", &units[1]).await;
    enrolled(&server, "van-3", &units[2]).await;
    for (name, unit) in [("van-1", &units[0]), ("van-2", &units[1]), ("van-3", &units[2])] {
        until(&key(name), is(unit)).await;
    }
    vehicle(&server, "van-4", &Value::Null).await;
    let moved = super::devices::patch(&server, &moves, json!({ "vehicle_id": "van-4" })).await;
    assert_eq!(moved.status, 200, "{}", moved.body);
    until(&key("van-1"), |text| text.is_none()).await;
    assert_eq!(units[0].enrol(&server, &token(&server, &moves).await).await.status, 200);
    until(&key("van-4"), is(&units[0])).await;
    until(&crl, |text| text.is_some_and(|text| text.contains("BEGIN X509 CRL") && text != before)).await;

    // While nothing runs somebody else changes the database, and the folder.
    let config = server.devices.clone().unwrap();
    let place = server.place.again();
    server.tasks.stop(Duration::from_secs(10)).await.unwrap();
    server.handle.close().await;
    for name in ["van-2", "van-9"] {
        fs::write(key(name), "00\n").unwrap();
    }
    fs::write(keys.join("README"), "of the operator").unwrap();
    fs::remove_file(key("van-3")).unwrap();
    fs::write(&crl, "half").unwrap();
    let bare = Server::start_at(place, |mut other| {
        other.devices = DevicesConfig { signing_keys_dir: None, crl_file: None, ..config.clone() };
        other
    })
    .await;
    assert_eq!(bare.post(&path(&retires, "/retire"), json!({})).await.status, 200);
    let place = bare.place.again();
    bare.tasks.stop(Duration::from_secs(10)).await.unwrap();
    bare.handle.close().await;

    let healed = Server::start_at(place, |mut other| {
        other.devices = config;
        other
    })
    .await;
    until(&key("van-2"), |text| text.is_none()).await;
    until(&key("van-3"), is(&units[2])).await;
    until(&crl, |text| text.is_some_and(|text| text.contains("BEGIN X509 CRL"))).await;
    assert_eq!(fs::read_to_string(key("van-9")).unwrap(), "00\n", "of no device: somebody put it there");
    assert!(keys.join("README").exists());
    assert_eq!(read(&list(&healed).await).1.len(), 2);
}

#[tokio::test]
async fn another_authority_has_another_list() {
    let server = signing_server(|config| config).await;
    let (device, _) = enrolled(&server, "van-1", &Unit::new(1)).await;
    revoke(&server, &device, "superseded").await;
    assert_eq!(read(&list(&server).await).1.len(), 1);
    let folder = tempfile::tempdir().unwrap();
    let second = Server::start_at(server.place.again(), |config| signing(config, folder.path())).await;
    let other = list(&second).await;
    assert_eq!(read(&other), (1, vec![]), "what another signed is not its own to revoke");
    let (_, parsed) = parse_x509_crl(&other).unwrap();
    assert!(init::CERT_FILE == "ca.pem" && parsed.last_update().timestamp() < seconds(&second));
    assert_eq!(Timestamp::parse(NOW).unwrap().0 / 1_000_000, seconds(&second));
}
