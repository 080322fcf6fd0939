//! The uplink over mutual TLS: who it is, what it signs, new certificates, and stops.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use service::clock::ManualClock;

use super::*;

/// An authority of the test's own.
struct Authority(Issuer<'static, KeyPair>, rcgen::Certificate);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self(Issuer::new(params, key), certificate)
    }

    /// A broker at 127.0.0.1 that asks for a certificate of this authority.
    fn server(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.1.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            );
        Arc::new(config.unwrap())
    }

    /// A certificate made out to `name`, and its key, as files.
    fn issue(&self, folder: &Path, name: &str, last_year: i32) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(last_year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    }

    fn files(&self, folder: &Path) -> TlsSettings {
        fs::write(folder.join("ca.pem"), self.1.pem()).unwrap();
        let client =
            ClientCertificate { cert_file: folder.join("cert.pem"), key_file: folder.join("key.pem") };
        TlsSettings { ca_file: folder.join("ca.pem"), client: Some(client) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_travel_over_mutual_tls_signed_by_the_vehicles_own_key() {
    let files = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue(files.path(), "car-1", 2100);
    let signer = BatchSigner::from_secret(&[7; 32]);
    let verifier = BatchVerifier::from_public(&signer.public_key()).unwrap();
    let rig = Rig::with(
        SpoolSettings::default(),
        Some(authority.files(files.path())),
        Some(signer),
        None,
        |cloud, shared| {
            *cloud.tls.lock().unwrap() = Some(authority.server());
            *cloud.verifier.lock().unwrap() = Some(verifier);
            fill(shared, Lane::Readings, stream(1), 12);
        },
    )
    .await;
    rig.drained().await;
    assert_eq!(rig.cloud.counts(), vec![1; 12]);
    assert_eq!(rig.cloud.cloud.lock().unwrap().names, ["car-1"]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_another_authority_gets_nothing() {
    let files = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue(files.path(), "car-1", 2100);
    let rig = Rig::with(
        SpoolSettings::default(),
        Some(authority.files(files.path())),
        None,
        None,
        |cloud, shared| {
            *cloud.tls.lock().unwrap() = Some(Authority::new().server());
            fill(shared, Lane::Readings, stream(1), 3);
        },
    )
    .await;
    let settings = UplinkSettings {
        port: rig.cloud.port,
        tls: Some(authority.files(files.path())),
        ..UplinkSettings::default()
    };
    let probed = tokio::task::spawn_blocking(move || probe(&settings, &vehicle())).await.unwrap();
    assert!(matches!(probed, Err(ProbeError::Link(_))), "{probed:?}");
    assert_eq!((rig.cloud.counts().len(), rig.shared.stats().batches_in_spool), (0, 3));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_are_used_without_a_restart() {
    let files = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue(files.path(), "car-1", 2100);
    let rig = Rig::with(
        SpoolSettings::default(),
        Some(authority.files(files.path())),
        None,
        None,
        |cloud, shared| {
            *cloud.tls.lock().unwrap() = Some(authority.server());
            fill(shared, Lane::Readings, stream(1), 3);
        },
    )
    .await;
    rig.drained().await;
    let mut changed = rig.cloud.changed.subscribe();
    authority.issue(files.path(), "car-1", 2101);
    let again = async {
        while rig.cloud.cloud.lock().unwrap().names.len() < 2 {
            changed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.expect("connected with the new one");
    fill(&rig.shared, Lane::Readings, stream(1), 3);
    rig.drained().await;
    assert_eq!(rig.cloud.counts(), vec![1; 6], "nothing is sent twice for it");
    rig.stop().await;
}

#[tokio::test]
async fn files_that_do_not_serve_are_left_until_they_do() {
    let files = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue(files.path(), "car-1", 2100);
    let clock = ManualClock::at(Timestamp::parse("2026-06-01T00:00:00Z").unwrap().0);
    let mut rotation = Rotation::of(Some(authority.files(files.path())), &vehicle()).await;
    let mut changed = async || {
        clock.advance(Duration::from_secs(10));
        rotation.changed(clock.as_ref()).await.is_some()
    };
    assert!(!changed().await, "nothing has changed");
    let good = fs::read(files.path().join("key.pem")).unwrap();
    fs::write(files.path().join("key.pem"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(!changed().await, "the key is another's");
    fs::write(files.path().join("key.pem"), &good[..good.len() / 2]).unwrap();
    assert!(!changed().await, "half a file");
    fs::remove_file(files.path().join("key.pem")).unwrap();
    assert!(!changed().await, "no file");
    authority.issue(files.path(), "car-2", 2100);
    assert!(!changed().await, "another vehicle");
    authority.issue(files.path(), "car-1", 2025);
    assert!(!changed().await, "expired");
    authority.issue(files.path(), "car-1", 2100);
    assert!(changed().await);
    assert!(!changed().await, "once a change");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_never_answers_does_not_hold_a_stop() {
    let rig = Rig::new(SpoolSettings::default(), |cloud, shared| {
        cloud.is_deaf.store(true, Ordering::SeqCst);
        fill(shared, Lane::Readings, stream(1), 5);
    })
    .await;
    rig.tasks.stop(Duration::from_secs(2)).await.expect("stopped in time");
    assert_eq!(rig.shared.stats().batches_in_spool, 5);
}
