//! How a unit gets its certificates: the first by a token that a person brought, later ones by its signing key.
//!
//! [`api`] asks, [`files`] keeps. The key of a certificate never leaves the unit: what is sent is a request
//! (PKCS #10, RFC 2986) signed by it. A running agent takes the new files up by itself (`uplink/rotation.rs`).

pub mod api;
pub mod files;

use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, CertificateSigningRequest, DistinguishedName, KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;
use wire::{ids::VehicleId, renewal, signature::BatchSigner, time::Timestamp};

use self::{
    api::{Api, ApiError},
    files::{Files, FilesError, Told},
};
use crate::{
    agent::{self, StartError},
    config::Config,
    keygen::{self, KeygenError},
    uplink::x509,
};

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The files.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The api.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The signing key.
    #[error(transparent)]
    SigningKey(#[from] StartError),
    /// No signing key can be made.
    #[error(transparent)]
    Keygen(#[from] KeygenError),
    /// No signing key to prove anything with.
    #[error(
        "uplink.signing_key_file is not set: a renewal is proven by that key, and enrolled with it; enrol anew"
    )]
    NoSigningKey,
    /// Nothing to renew.
    #[error("there is no certificate of an enrolment at {0}; use `edge-agent enrol` first")]
    NotEnrolled(PathBuf),
    /// The configuration is another vehicle's.
    #[error(
        "the device sits in vehicle {told:?}, and vehicle_id of the configuration is {configured:?}; set it right and \
         use the same token again within ten minutes"
    )]
    OtherVehicle {
        /// Whose the certificate is.
        told: String,
        /// Whose the configuration is.
        configured: String,
    },
    /// What came is not what was asked for.
    #[error("the certificate that came is not for the key of this unit")]
    OtherKey,
    /// Nobody said what to know the broker by.
    #[error(
        "the server tells no broker, and uplink.ca_file is not there; put the authority of the broker there first"
    )]
    NoBroker,
    /// The request could not be made.
    #[error("cannot make a certificate request")]
    Request(#[from] rcgen::Error),
}

/// Where to ask.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The api, `https://…`.
    pub url: String,
    /// The authority of its certificate, where it is none of the system's.
    pub ca_file: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrolled {
    /// The name on the certificate.
    pub vehicle_name: String,
    /// The broker, where the server tells one.
    pub broker: Option<String>,
    /// Until when the certificate is good.
    pub not_after: Timestamp,
    /// From when it should be renewed.
    pub renew_after: Timestamp,
}

#[derive(Debug, Deserialize)]
struct Answer {
    vehicle_name: String,
    certificate_pem: String,
    chain_pem: String,
    not_after: Timestamp,
    renew_after: Timestamp,
    broker: Option<BrokerTold>,
}

#[derive(Debug, Deserialize)]
struct BrokerTold {
    address: String,
    ca_pem: String,
}

/// Takes a token for a certificate, and puts it in place.
pub fn enrol(config: &Config, asked: &Asked, token: &str) -> Result<Enrolled, EnrolError> {
    let (files, api) = (Files::of(&config.uplink)?, Api::parse(&asked.url)?);
    // What was cut short is whole now; a token is for another certificate all the same.
    files.finish()?;
    let signer = config.uplink.signing_key_file.as_deref().map(signing_key).transpose()?;
    let key = files.key_to_ask_for()?;
    let mut body = serde_json::json!({ "token": token.trim(), "csr_pem": request(&key)?.pem()? });
    if let Some(signer) = signer {
        body["signing_public_key"] = hex(&signer.public_key()).into();
    }
    let answer = api.post("/v1/enrolments", &body, asked.ca_file.as_deref())?;
    take(config, (&files, asked, &key), &answer)
}

/// How a renewal went.
#[derive(Debug, Clone, PartialEq)]
pub enum Renewed {
    /// It is too early.
    NotYet(Enrolled),
    /// There is a new certificate.
    Done(Enrolled),
}

/// Renews the certificate, once it is time or where it is `forced`.
pub fn renew(
    config: &Config,
    (asked, is_forced): (Option<Asked>, bool),
    now: Timestamp,
) -> Result<Renewed, EnrolError> {
    let files = Files::of(&config.uplink)?;
    files.finish()?;
    let not_enrolled = || EnrolError::NotEnrolled(files.cert.clone());
    let facts = files.facts().ok_or_else(not_enrolled)?;
    let told = files.told();
    let asked = match (asked, &told) {
        (Some(asked), _) => asked,
        (None, Some(told)) => Asked { url: told.api.clone(), ca_file: told.api_ca_file.clone() },
        (None, None) => return Err(not_enrolled()),
    };
    // Of one that was put there by hand, as the api says it of its own.
    let renew_after = told.map_or_else(
        || facts.not_before.plus_us(facts.not_after.since_us(facts.not_before) / 3 * 2),
        |told| told.renew_after,
    );
    if now < renew_after && !is_forced {
        let vehicle_name = facts.common_name.unwrap_or_default();
        let not_after = facts.not_after;
        return Ok(Renewed::NotYet(Enrolled { vehicle_name, broker: None, not_after, renew_after }));
    }
    let path = config.uplink.signing_key_file.as_deref().ok_or(EnrolError::NoSigningKey)?;
    let signer = agent::read_signing_key(path)?;
    let api = Api::parse(&asked.url)?;
    let key = files.key_to_ask_for()?;
    let (request, serial) = (request(&key)?, hex(&facts.serial));
    let proof = hex(&signer.sign(&renewal::signed_bytes(&serial, request.der())));
    let body = serde_json::json!({ "certificate_serial": serial, "csr_pem": request.pem()?, "proof": proof });
    let answer = api.post("/v1/enrolments/renew", &body, asked.ca_file.as_deref())?;
    take(config, (&files, &asked, &key), &answer).map(Renewed::Done)
}

/// Checks what came and puts it in place.
fn take(
    config: &Config,
    (files, asked, key): (&Files, &Asked, &KeyPair),
    answer: &[u8],
) -> Result<Enrolled, EnrolError> {
    let none = || ApiError::Answer(asked.url.clone());
    let answer: Answer = serde_json::from_slice(answer).map_err(|_| none())?;
    let der = CertificateDer::from_pem_slice(answer.certificate_pem.as_bytes()).map_err(|_| none())?;
    let facts = x509::facts(&der).ok_or_else(none)?;
    if facts.public_key != key.subject_public_key_info() {
        return Err(EnrolError::OtherKey);
    }
    let is_own = config.vehicle_id.parse::<VehicleId>().is_ok_and(|id| id.as_str() == answer.vehicle_name);
    if !is_own || facts.common_name.as_deref() != Some(&answer.vehicle_name) {
        let (told, configured) = (answer.vehicle_name, config.vehicle_id.clone());
        return Err(EnrolError::OtherVehicle { told, configured });
    }
    if answer.broker.is_none() && !files.has_ca() {
        return Err(EnrolError::NoBroker);
    }
    let told =
        Told { api: asked.url.clone(), api_ca_file: asked.ca_file.clone(), renew_after: answer.renew_after };
    let chain = format!("{}{}", answer.certificate_pem, answer.chain_pem);
    let broker = answer.broker.as_ref();
    files.install((&chain, broker.map(|broker| broker.ca_pem.as_str())), &told)?;
    Ok(Enrolled {
        vehicle_name: answer.vehicle_name,
        broker: answer.broker.map(|broker| broker.address),
        not_after: answer.not_after,
        renew_after: answer.renew_after,
    })
}

/// The unit's signing key; made where there is none.
fn signing_key(path: &Path) -> Result<BatchSigner, EnrolError> {
    if !path.exists() {
        let public = keygen::make(path)?;
        for path in [path, &public] {
            files::share(path).map_err(|source| FilesError::Write { path: path.to_owned(), source })?;
        }
    }
    Ok(agent::read_signing_key(path)?)
}

/// A request for a certificate. It names nobody: the api says who the unit is.
fn request(key: &KeyPair) -> Result<CertificateSigningRequest, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serialize_request(key)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
