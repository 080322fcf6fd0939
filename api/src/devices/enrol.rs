//! How a unit gets its certificates: the first by a token that a person has brought to it, later ones by a proof of
//! the key it enrolled with.
//!
//! An answer that was lost on the network is given again: for ten minutes the same token (or the same proof's
//! certificate) with the same key gets the same certificate. By the key and not by the request's bytes, as a signature
//! of ECDSA is another each time.

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use wire::{
    campaigns::from_hex,
    ids::VehicleId,
    renewal,
    signature::BatchVerifier,
    time::{DAY_US, Timestamp},
};

use super::{
    authority_of,
    certificates::{self, Stored, types::IssuedBy},
    check_issuable,
    csr::CheckedRequest,
    store::{self, StoredToken},
    types::{Device, DeviceStatus},
};
use crate::{config::DevicesSettings, db::Conn, fault::DomainError, ids::DeviceId, text::hex};

const START: &str = "rle_";
const TOKEN_BYTES: usize = 32;
/// A token longer than this is none.
const TOKEN_LEN_MAX: usize = 200;
const VALID_FOR_H_DEFAULT: i64 = 24;
const VALID_FOR_H_MAX: i64 = 720;
const HOUR_US: i64 = 3_600_000_000;
/// A unit that renews over and over, and each time with another key, fills no table.
const RENEWALS_A_DAY_MAX: i64 = 24;
/// For so long a lost answer is given again.
const ANSWERED_AGAIN_US: i64 = 600_000_000;
const ENROLMENT: &str = "the enrolment";
const RENEWAL: &str = "the renewal";

/// A token to make.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// Until when it can be used: 1 to 720 hours from now (default 24).
    #[serde(default)]
    pub(crate) valid_for_h: Option<i64>,
}

/// A token that proves a unit to be the device, once.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct IssuedToken {
    /// `rle_…`: it is shown this once.
    pub(crate) token: String,
    /// Until when it can be used.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) expires_at: Timestamp,
}

/// What a unit asks for its first certificate with.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enrolment {
    /// `rle_…`
    pub(crate) token: String,
    /// A certificate request (PKCS #10) in PEM. Of it only the key counts.
    pub(crate) csr_pem: String,
    /// The Ed25519 key that is to prove its batches and renewals, 64 hexadecimal digits; none when absent.
    #[serde(default)]
    pub(crate) signing_public_key: Option<String>,
}

/// What a unit asks for a later certificate with.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Renewal {
    /// Of the certificate it has, lower-case hexadecimal.
    pub(crate) certificate_serial: String,
    /// A certificate request (PKCS #10) in PEM. Of it only the key counts.
    pub(crate) csr_pem: String,
    /// The signature (Ed25519, hexadecimal) by the key it enrolled with over `roadlake/renewal/v1`, a zero byte, the
    /// serial number, a zero byte, and the request in DER.
    pub(crate) proof: String,
}

/// What an enrolled unit needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Enrolled {
    /// `dev_…`
    #[schema(value_type = String)]
    pub(crate) device_id: DeviceId,
    /// The name on the certificate: what `vehicle_id` is to the agent.
    #[schema(value_type = String)]
    pub(crate) vehicle_name: VehicleId,
    /// In PEM.
    pub(crate) certificate_pem: String,
    /// Who signed it, and who signed that, in PEM.
    pub(crate) chain_pem: String,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) not_after: Timestamp,
    /// From when it should be renewed: two thirds of its time.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) renew_after: Timestamp,
    /// Where to connect to; null where the server is not told.
    pub(crate) broker: Option<BrokerTold>,
}

/// Where an enrolled unit connects to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BrokerTold {
    /// `host:port`.
    pub address: String,
    /// The authority of its certificate, in PEM.
    pub ca_pem: String,
}

/// Makes a token for a device, in the place of one that nobody has used.
pub(crate) async fn issue_token(
    conn: &mut Conn,
    now: Timestamp,
    (settings, id): (&DevicesSettings, &DeviceId),
    new: &NewToken,
) -> Result<IssuedToken, DomainError> {
    let valid_for_h = new.valid_for_h.unwrap_or(VALID_FOR_H_DEFAULT);
    if !(1..=VALID_FOR_H_MAX).contains(&valid_for_h) {
        return Err(DomainError::invalid("the token", "valid_for_h", "must be 1 to 720 hours"));
    }
    authority_of(settings)?;
    let device = super::get(conn, id).await?;
    check_issuable(conn, &device).await?;
    let mut bytes = [0_u8; TOKEN_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| DomainError::Key)?;
    let token = format!("{START}{}", hex(&bytes));
    let expires_at = now.plus_us(valid_for_h * HOUR_US);
    let stored =
        StoredToken { hash: hash_of(&token), device_id: device.id, created_at: now, expires_at, used: None };
    store::put_token(conn, &stored).await?;
    Ok(IssuedToken { token, expires_at })
}

/// What is kept of a token. It has 256 random bits, so nobody finds it by trying, and a fast hash does; it is looked
/// up by it, so how long that takes says nothing of the token.
fn hash_of(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn no_token() -> DomainError {
    DomainError::Unproven("the token is unknown, used or expired; have another made for the device")
}

fn no_proof() -> DomainError {
    DomainError::Unproven(
        "the serial number and the proof are of no certificate of a device that enrolled here with a signing key",
    )
}

/// The device a token is of; none of one that is no longer good.
pub(crate) async fn device_of_token(
    conn: &mut Conn,
    now: Timestamp,
    token: &str,
) -> Result<Device, DomainError> {
    let stored = token_of(conn, now, token).await?;
    super::get(conn, &stored.device_id).await
}

async fn token_of(conn: &mut Conn, now: Timestamp, token: &str) -> Result<StoredToken, DomainError> {
    if token.len() > TOKEN_LEN_MAX || !token.starts_with(START) {
        return Err(no_token());
    }
    let found = store::token(conn, &hash_of(token)).await?;
    let is_good = |stored: &StoredToken| match &stored.used {
        None => now < stored.expires_at,
        Some((at, _)) => now.since_us(*at) < ANSWERED_AGAIN_US,
    };
    found.filter(is_good).ok_or_else(no_token)
}

/// A unit's request for its first certificate, read and checked.
#[derive(Debug)]
pub(crate) struct CheckedEnrolment {
    request: CheckedRequest,
    signing_public_key: Option<String>,
}

impl CheckedEnrolment {
    /// Reads what comes with a token. It costs some time, so only once the token is known to be good.
    pub(crate) fn read(enrolment: &Enrolment) -> Result<Self, DomainError> {
        let request = CheckedRequest::read(ENROLMENT, &enrolment.csr_pem)?;
        let signing_public_key = enrolment.signing_public_key.as_ref().map(|text| {
            let key = from_hex::<32>(text.as_bytes()).filter(|key| BatchVerifier::from_public(key).is_ok());
            key.map(|key| hex(&key)).ok_or_else(|| {
                let message = "must be 64 hexadecimal digits of an Ed25519 public key";
                DomainError::invalid(ENROLMENT, "signing_public_key", message)
            })
        });
        Ok(Self { request, signing_public_key: signing_public_key.transpose()? })
    }
}

/// Takes a token for a certificate.
pub(crate) async fn enrol(
    conn: &mut Conn,
    now: Timestamp,
    settings: &DevicesSettings,
    (token, checked): (&str, &CheckedEnrolment),
) -> Result<Enrolled, DomainError> {
    let stored = token_of(conn, now, token).await?;
    let mut device = super::get(conn, &stored.device_id).await?;
    if let Some((_, id)) = &stored.used {
        let before = certificates::get(conn, id).await?;
        let is_same = before.key_hash == checked.request.key_hash()
            && device.signing_public_key == checked.signing_public_key
            && before.revoked.is_none();
        return if is_same { enrolled(settings, &before) } else { Err(no_token()) };
    }
    check_issuable(conn, &device).await?;
    let what = (&device, &checked.request, IssuedBy::Enrolment);
    let certificate = certificates::issue(conn, now, settings, what).await?;
    store::use_token(conn, &stored.hash, (now, &certificate.id)).await?;
    device.signing_public_key.clone_from(&checked.signing_public_key);
    device.status = DeviceStatus::Enrolled;
    super::changed(conn, now, (&mut device, "DeviceEnrolled")).await?;
    enrolled(settings, &certificate)
}

/// Issues a certificate by hand.
pub(crate) async fn issue_by_hand(
    conn: &mut Conn,
    now: Timestamp,
    settings: &DevicesSettings,
    (id, request): (&DeviceId, &CheckedRequest),
) -> Result<Stored, DomainError> {
    authority_of(settings)?;
    let mut device = super::get(conn, id).await?;
    check_issuable(conn, &device).await?;
    let certificate =
        certificates::issue(conn, now, settings, (&device, request, IssuedBy::Operator)).await?;
    if device.status != DeviceStatus::Enrolled {
        device.status = DeviceStatus::Enrolled;
        super::changed(conn, now, (&mut device, "DeviceEnrolled")).await?;
    }
    Ok(certificate)
}

/// Who asks for a renewal, proven by its key.
#[derive(Debug)]
pub(crate) struct ProvenRenewal {
    pub(crate) device: Device,
    certificate: Stored,
    request: CheckedRequest,
}

impl ProvenRenewal {
    /// Finds the certificate and checks the proof. The request's own signature is checked first only where the
    /// certificate is there.
    pub(crate) async fn find(conn: &mut Conn, renewal: &Renewal) -> Result<Self, DomainError> {
        let found = certificates::store::by_serial(conn, &renewal.certificate_serial).await?;
        let certificate = found.ok_or_else(no_proof)?;
        let device = super::get(conn, &certificate.device_id).await?;
        let key = device.signing_public_key.as_deref().and_then(|key| from_hex::<32>(key.as_bytes()));
        let verifier = key.and_then(|key| BatchVerifier::from_public(&key).ok());
        // Of a revoked certificate's device, or a retired one's, the key may be gone; who has it, is told why.
        let verifier = verifier.ok_or_else(no_proof)?;
        let request = CheckedRequest::read(RENEWAL, &renewal.csr_pem)?;
        let signed = renewal::signed_bytes(&certificate.serial, &request.der);
        let proof = from_hex::<64>(renewal.proof.as_bytes()).ok_or_else(no_proof)?;
        verifier.verify(&signed, &proof).map_err(|_| no_proof())?;
        Ok(Self { device, certificate, request })
    }
}

/// Issues the certificate that follows another; that one stays good until its end.
pub(crate) async fn renew(
    conn: &mut Conn,
    now: Timestamp,
    settings: &DevicesSettings,
    renewal: &Renewal,
) -> Result<Enrolled, DomainError> {
    let ProvenRenewal { device, certificate, request } = ProvenRenewal::find(conn, renewal).await?;
    authority_of(settings)?;
    if let Some((at, reason)) = certificate.revoked {
        let reason = reason.as_str();
        return Err(DomainError::Conflict(format!(
            "the certificate was revoked at {at} ({reason}); enrol again with a token"
        )));
    }
    let grace_us = settings.renew_grace_days * DAY_US;
    if now >= certificate.not_after.plus_us(grace_us) {
        return Err(DomainError::Conflict(format!(
            "the certificate ended at {}, more than {} days ago; enrol again with a token",
            certificate.not_after, settings.renew_grace_days
        )));
    }
    if device.vehicle_id.is_none() {
        return Err(super::in_no_vehicle());
    }
    // What was asked for a moment ago with the same key, and maybe not heard.
    if let Some(id) = &certificate.replaced_by_id {
        let after = certificates::get(conn, id).await?;
        let is_same = after.key_hash == request.key_hash()
            && after.issued_by == IssuedBy::Renewal
            && after.revoked.is_none()
            && now.since_us(after.created_at) < ANSWERED_AGAIN_US;
        if is_same {
            return enrolled(settings, &after);
        }
    }
    let since = now.plus_us(-DAY_US);
    if certificates::store::renewed_count(conn, &device.id, since).await? >= RENEWALS_A_DAY_MAX {
        return Err(DomainError::Conflict(format!(
            "the device has renewed {RENEWALS_A_DAY_MAX} times within a day; come back tomorrow"
        )));
    }
    let issued = certificates::issue(conn, now, settings, (&device, &request, IssuedBy::Renewal)).await?;
    enrolled(settings, &issued)
}

fn enrolled(settings: &DevicesSettings, certificate: &Stored) -> Result<Enrolled, DomainError> {
    let authority = authority_of(settings)?;
    let life_us = certificate.not_after.since_us(certificate.not_before);
    Ok(Enrolled {
        device_id: certificate.device_id.clone(),
        vehicle_name: certificate.common_name.clone(),
        certificate_pem: certificate.pem.clone(),
        chain_pem: authority.chain_pem().to_owned(),
        not_after: certificate.not_after,
        renew_after: certificate.not_before.plus_us(life_us / 3 * 2),
        broker: settings.broker.clone(),
    })
}
