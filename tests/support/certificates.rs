//! An authority of a test's own, and the certificates it signs.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test targets")]
#![allow(clippy::unwrap_used, reason = "a failed test is the message")]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use edge_agent::uplink::{ClientCertificate, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use service::config::Loaded;

/// Where servers of tests are.
const ADDRESSES: [&str; 2] = ["127.0.0.1", "127.0.0.2"];

/// An authority and what it signed, as files of one folder.
pub struct Certificates {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `{file}.pem` and `{file}-key.pem`, made out to a common name, or to none, and to the addresses of
    /// servers.
    pub fn issue(&self, file: &str, name: Option<&str>) -> ClientCertificate {
        let mut params = CertificateParams::new(ADDRESSES.map(str::to_owned)).unwrap();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let key = KeyPair::generate().unwrap();
        let files = ClientCertificate {
            cert_file: self.path(&format!("{file}.pem")),
            key_file: self.path(&format!("{file}-key.pem")),
        };
        fs::write(&files.cert_file, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(&files.key_file, key.serialize_pem()).unwrap();
        files
    }

    /// What a vehicle of this name connects with.
    pub fn client(&self, name: &str) -> TlsSettings {
        TlsSettings { ca_file: self.path("ca.pem"), client: Some(self.issue(name, Some(name))) }
    }

    /// Settings of an ingest at this broker, as its own configuration gives them.
    pub fn ingest(
        &self,
        data: &Path,
        broker: SocketAddr,
        change: impl FnOnce(&mut ingest::Config),
    ) -> ingest::Settings {
        let files = self.issue("ingest", Some("ingest"));
        let mut config = ingest::Config {
            lake: analytics::LakeLocation::Folder(data.join("lake")),
            ..ingest::Config::default()
        };
        config.broker.external = Some(broker.to_string());
        config.broker.ca_file = Some(self.path("ca.pem"));
        config.broker.cert_file = Some(files.cert_file);
        config.broker.key_file = Some(files.key_file);
        change(&mut config);
        ingest::Settings::check(Loaded { config, origin: "test".to_owned() }).unwrap()
    }
}
