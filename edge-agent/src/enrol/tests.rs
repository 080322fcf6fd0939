//! A unit against an api that answers what it is told to.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    sync::mpsc,
    thread::JoinHandle,
};

use serde_json::Value;
use service::files::unfinished;
use wire::{campaigns::from_hex, signature::BatchVerifier};
use x509_parser::{certification_request::X509CertificationRequest, pem::parse_x509_pem, prelude::FromDer};

use super::*;

const NOW: &str = "2026-11-23T12:00:00Z";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// An authority that answers so many requests; what was asked comes by the channel.
struct Server {
    url: String,
    asked: mpsc::Receiver<(String, Value)>,
    serving: JoinHandle<()>,
}

/// What to do with a request.
#[derive(Clone, Copy)]
enum Reply {
    Certificate,
    /// Nothing comes back, though it was done.
    Lost,
    No,
}

impl Server {
    fn start(name: &'static str, replies: &'static [Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (told, asked) = mpsc::sync_channel(replies.len());
        let serving = std::thread::spawn(move || {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let ca_pem = params.self_signed(&key).unwrap().pem();
            let issuer = rcgen::Issuer::new(params, key);
            for reply in replies {
                let (mut stream, _) = listener.accept().unwrap();
                let (path, body) = read(&mut stream);
                let pem = parse_x509_pem(body["csr_pem"].as_str().unwrap().as_bytes()).unwrap().1;
                let (_, request) = X509CertificationRequest::from_der(&pem.contents).unwrap();
                request.verify_signature().unwrap();
                let own =
                    rcgen::SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw);
                told.send((path, body.clone())).unwrap();
                let mut params = CertificateParams::new(Vec::new()).unwrap();
                params.distinguished_name = DistinguishedName::new();
                params.distinguished_name.push(rcgen::DnType::CommonName, name);
                let certificate = params.signed_by(&own.unwrap(), &issuer).unwrap().pem();
                let answer = serde_json::json!({
                    "device_id": "dev_1", "vehicle_name": name, "certificate_pem": certificate,
                    "chain_pem": ca_pem, "not_after": "2027-02-21T12:00:00Z",
                    "renew_after": "2027-01-22T12:00:00Z",
                    "broker": { "address": "broker:8883", "ca_pem": ca_pem },
                });
                let text = match reply {
                    Reply::Certificate => format!("HTTP/1.1 200 OK\r\n\r\n{answer}"),
                    Reply::No => "HTTP/1.1 401 No\r\n\r\n{\"detail\":\"the token is used\"}".to_owned(),
                    Reply::Lost => String::new(),
                };
                stream.write_all(text.as_bytes()).unwrap();
            }
        });
        Self { url, asked, serving }
    }

    fn asked(&self) -> Asked {
        Asked { url: self.url.clone(), ca_file: None }
    }
}

fn read(stream: &mut std::net::TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    let mut some = [0; 4096];
    loop {
        let count = stream.read(&mut some).unwrap();
        bytes.extend_from_slice(&some[..count]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            return (head.split(' ').nth(1).unwrap().to_owned(), body);
        }
    }
}

fn config(folder: &Path) -> Config {
    let file = |name: &str| Some(folder.join(name));
    let mut config = Config { vehicle_id: "van-1".to_owned(), ..Config::default() };
    (config.uplink.cert_file, config.uplink.key_file) = (file("vehicle.pem"), file("vehicle.key"));
    (config.uplink.ca_file, config.uplink.signing_key_file) = (file("ca.pem"), file("signing.key"));
    config
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// That certificate and key in place are a pair.
fn is_pair(folder: &Path) -> bool {
    let key = KeyPair::from_pem(&fs::read_to_string(folder.join("vehicle.key")).unwrap()).unwrap();
    let der = CertificateDer::from_pem_file(folder.join("vehicle.pem")).unwrap();
    x509::facts(&der).unwrap().public_key == key.subject_public_key_info()
}

#[test]
fn a_unit_enrols_and_renews_when_it_is_time_with_a_proof_of_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, server) = (
        folder.path(),
        Server::start("van-1", &[Reply::Certificate, Reply::Certificate, Reply::Certificate]),
    );
    let config = config(folder);
    let enrolled = enrol(&config, &server.asked(), " rle_1\n").unwrap();
    assert_eq!((&*enrolled.vehicle_name, enrolled.broker.as_deref()), ("van-1", Some("broker:8883")));
    let (path, body) = server.asked.recv().unwrap();
    assert_eq!((&*path, &body["token"]), ("/v1/enrolments", &Value::from("rle_1")));
    let files =
        ["ca.pem", "signing.key", "signing.key.pub", "vehicle.key", "vehicle.pem", "vehicle.pem.enrolment"];
    assert_eq!(names(folder), files);
    let public = fs::read_to_string(folder.join("signing.key.pub")).unwrap();
    assert_eq!(body["signing_public_key"], public.trim());
    for secret in ["vehicle.key", "signing.key"] {
        assert_eq!(fs::metadata(folder.join(secret)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(is_pair(folder));
    assert_eq!(
        CertificateDer::pem_file_iter(folder.join("vehicle.pem")).unwrap().count(),
        2,
        "with its chain"
    );

    let first = fs::read_to_string(folder.join("vehicle.key")).unwrap();
    let early = renew(&config, (None, false), at(NOW)).unwrap();
    assert!(
        matches!(&early, Renewed::NotYet(told) if told.renew_after == at("2027-01-22T12:00:00Z")),
        "{early:?}"
    );
    let serial = hex(&Files::of(&config.uplink).unwrap().facts().unwrap().serial);
    let done = renew(&config, (None, false), at("2027-01-22T12:00:00Z")).unwrap();
    assert!(matches!(done, Renewed::Done(_)));
    let (path, body) = server.asked.recv().unwrap();
    assert_eq!((&*path, &body["certificate_serial"]), ("/v1/enrolments/renew", &Value::from(serial.clone())));
    let pem = parse_x509_pem(body["csr_pem"].as_str().unwrap().as_bytes()).unwrap().1;
    let key = from_hex::<32>(public.trim().as_bytes()).unwrap();
    let proof = from_hex::<64>(body["proof"].as_str().unwrap().as_bytes()).unwrap();
    let signed = renewal::signed_bytes(&serial, &pem.contents);
    BatchVerifier::from_public(&key).unwrap().verify(&signed, &proof).unwrap();
    assert!(is_pair(folder) && fs::read_to_string(folder.join("vehicle.key")).unwrap() != first);
    assert!(matches!(renew(&config, (None, true), at(NOW)).unwrap(), Renewed::Done(_)), "forced");
    server.serving.join().unwrap();
}

#[test]
fn a_lost_answer_is_asked_for_again_with_the_same_key_and_what_is_in_place_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, server) = (
        folder.path(),
        Server::start("van-1", &[Reply::Certificate, Reply::Lost, Reply::No, Reply::Certificate]),
    );
    let config = config(folder);
    enrol(&config, &server.asked(), "rle_1").unwrap();
    let before = fs::read_to_string(folder.join("vehicle.key")).unwrap();
    server.asked.recv().unwrap();
    let lost = enrol(&config, &server.asked(), "rle_2").unwrap_err();
    assert!(matches!(lost, EnrolError::Api(ApiError::Answer(_))), "{lost}");
    let refused = enrol(&config, &server.asked(), "rle_2").unwrap_err();
    assert_eq!(refused.to_string(), "refused (401): the token is used");
    assert_eq!(fs::read_to_string(folder.join("vehicle.key")).unwrap(), before);
    assert!(is_pair(folder));
    let pending = fs::read_to_string(folder.join("vehicle.key.new")).unwrap();
    enrol(&config, &server.asked(), "rle_2").unwrap();
    assert_eq!(fs::read_to_string(folder.join("vehicle.key")).unwrap(), pending);
    assert!(is_pair(folder) && !folder.join("vehicle.key.new").exists());
    server.serving.join().unwrap();
}

#[test]
fn what_is_not_for_this_vehicle_is_not_put_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, server) = (folder.path(), Server::start("van-2", &[Reply::Certificate, Reply::Certificate]));
    let mut config = config(folder);
    let other = enrol(&config, &server.asked(), "rle_1").unwrap_err();
    assert!(other.to_string().contains("sits in vehicle \"van-2\""), "{other}");
    assert!(!folder.join("vehicle.pem").exists() && !folder.join("vehicle.key").exists());
    assert!(matches!(renew(&config, (None, true), at(NOW)), Err(EnrolError::NotEnrolled(_))));
    config.vehicle_id = "van-2".to_owned();
    enrol(&config, &server.asked(), "rle_1").unwrap();
    config.uplink.signing_key_file = None;
    assert!(matches!(renew(&config, (None, true), at(NOW)), Err(EnrolError::NoSigningKey)));
    config.uplink.key_file = None;
    let nowhere = enrol(&config, &server.asked(), "rle_1").unwrap_err();
    assert!(nowhere.to_string().contains("uplink.key_file is not set"), "{nowhere}");
    server.serving.join().unwrap();
}

/// As in the package's folder, where root writes and the agent reads.
#[test]
fn in_a_folder_that_a_group_alone_may_read_the_files_are_for_that_group() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, server) = (folder.path(), Server::start("van-1", &[Reply::Certificate]));
    fs::set_permissions(folder, fs::Permissions::from_mode(0o2750)).unwrap();
    enrol(&config(folder), &server.asked(), "rle_1").unwrap();
    for name in ["vehicle.key", "signing.key", "vehicle.pem", "ca.pem"] {
        assert_eq!(fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777, 0o640, "{name}");
    }
    server.serving.join().unwrap();
}

/// Killed after each step of putting a new pair in place, the next command finishes it.
#[test]
fn a_unit_that_dies_while_files_are_put_in_place_has_a_pair_after_the_next_command() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, server) = (folder.path(), Server::start("van-1", &[Reply::Certificate, Reply::Certificate]));
    let config = config(folder);
    enrol(&config, &server.asked(), "rle_1").unwrap();
    let all = ["ca.pem", "vehicle.pem.enrolment", "vehicle.pem", "vehicle.key"];
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let old = all.map(read);
    enrol(&config, &server.asked(), "rle_2").unwrap();
    let new = all.map(read);
    let files = Files::of(&config.uplink).unwrap();
    for renamed in 0..=all.len() {
        for (i, name) in all.iter().enumerate() {
            let (path, is_renamed) = (folder.join(name), i < renamed);
            fs::write(&path, if is_renamed { &new[i] } else { &old[i] }).unwrap();
            if !is_renamed {
                fs::write(unfinished(&path), &new[i]).unwrap();
            }
        }
        assert_eq!(files.finish().unwrap(), renamed < all.len(), "{renamed}");
        assert_eq!(all.map(read), new, "{renamed}");
    }
    // Before the certificate has come there is nothing to put in place, and a half one is none.
    fs::write(folder.join("vehicle.key.new"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    fs::write(folder.join("vehicle.pem.new"), &new[2][..100]).unwrap();
    assert!(!files.finish().unwrap());
    assert_eq!(all.map(read), new);
    server.serving.join().unwrap();
}
