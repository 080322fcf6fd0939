//! Client certificates of devices: issued, replaced by later ones, revoked.
//!
//! A certificate is made out to the vehicle its device sits in. What of it is public is in the log, so that the rows
//! can be made anew; its secret key was never here.

pub(crate) mod http;
pub(super) mod store;
pub mod types;

use serde::{Deserialize, Serialize};
use wire::{
    ids::VehicleId,
    time::{DAY_US, Timestamp},
};

use self::types::{
    Certificate, CertificateQuery, CertificateStatus, CertificateWhole, IssuedBy, RevocationReason,
};
use super::{
    authority::{BEHIND_US, Wanted},
    csr::CheckedRequest,
    types::Device,
};
use crate::{
    caller::Caller,
    config::DevicesSettings,
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::{CertificateId, DeviceId, OrganizationId, RegistryId},
    metrics,
    page::{Cursor, Page, limit_of},
};

pub(crate) const AGGREGATE: &str = "certificate";

/// A certificate as it is kept, and as its first event tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(super) id: CertificateId,
    pub(super) organization_id: Option<OrganizationId>,
    pub(super) device_id: DeviceId,
    pub(super) vehicle_id: RegistryId,
    pub(super) common_name: VehicleId,
    pub(super) authority: String,
    pub(super) key_hash: String,
    pub(super) serial: String,
    pub(super) fingerprint_sha256: String,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) issued_by: IssuedBy,
    #[serde(skip)]
    pub(super) replaced_by_id: Option<CertificateId>,
    #[serde(skip)]
    pub(super) revoked: Option<(Timestamp, RevocationReason)>,
    pub(super) pem: String,
    #[serde(skip)]
    pub(super) version: i64,
    #[serde(skip)]
    pub(super) created_at: Timestamp,
}

impl Stored {
    fn status(&self, now: Timestamp) -> CertificateStatus {
        match self.revoked {
            Some(_) => CertificateStatus::Revoked,
            None if self.not_after < now => CertificateStatus::Expired,
            None => CertificateStatus::Active,
        }
    }

    pub(super) fn shown(&self, now: Timestamp) -> Certificate {
        Certificate {
            id: self.id.clone(),
            organization_id: self.organization_id.clone(),
            device_id: self.device_id.clone(),
            vehicle_id: self.vehicle_id.clone(),
            common_name: self.common_name.clone(),
            serial: self.serial.clone(),
            fingerprint_sha256: self.fingerprint_sha256.clone(),
            not_before: self.not_before,
            not_after: self.not_after,
            status: self.status(now),
            revoked_at: self.revoked.map(|(at, _)| at),
            revocation_reason: self.revoked.map(|(_, reason)| reason),
            issued_by: self.issued_by,
            replaced_by_id: self.replaced_by_id.clone(),
            created_at: self.created_at,
        }
    }

    pub(super) fn whole(&self, now: Timestamp) -> CertificateWhole {
        CertificateWhole { certificate: self.shown(now), certificate_pem: self.pem.clone() }
    }
}

/// Issues a certificate for the vehicle that a device sits in; those it had are replaced by it, and stay good.
pub(super) async fn issue(
    conn: &mut Conn,
    now: Timestamp,
    settings: &DevicesSettings,
    (device, request, issued_by): (&Device, &CheckedRequest, IssuedBy),
) -> Result<Stored, DomainError> {
    let authority = super::authority_of(settings)?;
    let (Some(vehicle_id), Some(common_name)) = (device.vehicle_id.clone(), device.vehicle_name.clone())
    else {
        return Err(super::in_no_vehicle());
    };
    // Certificates have whole seconds.
    let second = Timestamp(now.0 - now.0.rem_euclid(1_000_000));
    let not_before = second.plus_us(-BEHIND_US);
    let not_after = second.plus_us(settings.certificate_days * DAY_US).min(authority.not_after());
    if not_after <= now {
        return Err(DomainError::Conflict(format!(
            "the certificate authority ended at {}; give the server another",
            authority.not_after()
        )));
    }
    let wanted = Wanted { common_name: common_name.as_str(), not_before, not_after };
    let signed = authority.sign(request, &wanted)?;
    let stored = Stored {
        id: CertificateId::new(now),
        organization_id: device.organization_id.clone(),
        device_id: device.id.clone(),
        vehicle_id,
        common_name,
        authority: authority.key_hash().to_owned(),
        key_hash: request.key_hash(),
        serial: signed.serial,
        fingerprint_sha256: signed.fingerprint,
        not_before,
        not_after,
        issued_by,
        replaced_by_id: None,
        revoked: None,
        pem: signed.pem,
        version: 1,
        created_at: now,
    };
    for mut before in store::unrevoked(conn, &device.id).await? {
        if before.replaced_by_id.is_some() {
            continue;
        }
        before.replaced_by_id = Some(stored.id.clone());
        before.version += 1;
        let data =
            serde_json::json!({ "replaced_by_id": stored.id, "organization_id": before.organization_id });
        note(conn, now, (&before, "CertificateReplaced"), data).await?;
        store::update(conn, &before).await?;
    }
    note(conn, now, (&stored, "CertificateIssued"), json_of(&stored)).await?;
    store::insert(conn, &stored).await?;
    metrics::certificate_issued(issued_by.as_str());
    Ok(stored)
}

/// Revokes a certificate, for good.
pub async fn revoke(
    conn: &mut Conn,
    now: Timestamp,
    (id, reason): (&CertificateId, RevocationReason),
) -> Result<Certificate, DomainError> {
    let mut stored = get(conn, id).await?;
    match stored.revoked {
        Some((_, before)) if before == reason => return Ok(stored.shown(now)),
        Some((at, before)) => {
            let before = before.as_str();
            return Err(DomainError::Conflict(format!(
                "the certificate was revoked at {at} already, as {before}"
            )));
        }
        None => set_revoked(conn, now, (&mut stored, reason)).await?,
    }
    Ok(stored.shown(now))
}

/// Revokes what a device has, whether or not it has ended: a clock that is behind would take it.
pub(super) async fn revoke_all(
    conn: &mut Conn,
    now: Timestamp,
    (device, reason): (&DeviceId, RevocationReason),
) -> Result<(), DomainError> {
    for mut stored in store::unrevoked(conn, device).await? {
        set_revoked(conn, now, (&mut stored, reason)).await?;
    }
    Ok(())
}

async fn set_revoked(
    conn: &mut Conn,
    now: Timestamp,
    (stored, reason): (&mut Stored, RevocationReason),
) -> Result<(), DomainError> {
    stored.revoked = Some((now, reason));
    stored.version += 1;
    let data = serde_json::json!({
        "organization_id": stored.organization_id, "device_id": stored.device_id, "serial": stored.serial,
        "reason": reason,
    });
    note(conn, now, (stored, "CertificateRevoked"), data).await?;
    store::update(conn, stored).await?;
    metrics::certificate_revoked(reason.as_str());
    Ok(())
}

async fn note(
    conn: &mut Conn,
    now: Timestamp,
    (stored, event_type): (&Stored, &'static str),
    data: serde_json::Value,
) -> Result<(), DomainError> {
    let event = NewEvent { aggregate_type: AGGREGATE, aggregate_id: stored.id.to_string(), event_type, data };
    events::append(conn, now, stored.version - 1, event).await?;
    Ok(())
}

/// The certificate of an id.
pub(crate) async fn get(conn: &mut Conn, id: &CertificateId) -> Result<Stored, DomainError> {
    store::by_id(conn, id).await?.ok_or_else(|| DomainError::not_found("certificate", id.as_str()))
}

/// Whose a certificate is.
pub(crate) async fn organization_of(
    conn: &mut Conn,
    id: &CertificateId,
) -> Result<Option<OrganizationId>, DomainError> {
    Ok(get(conn, id).await?.organization_id)
}

/// Certificates, newest first.
pub async fn list(
    conn: &mut Conn,
    (now, caller): (Timestamp, &Caller),
    query: CertificateQuery,
) -> Result<Page<Certificate>, DomainError> {
    let limit = limit_of(query.limit)?;
    let before = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let mut faults = Faults::default();
    let expires_before = query.expires_before.as_deref().map(|text| faults.time("expires_before", text));
    faults.finish("the query")?;
    let wanted = store::Wanted {
        organization: caller.narrowed(query.organization_id)?.unwrap_or_default(),
        device: query.device_id.unwrap_or_default(),
        status: query.status,
        expires_before: expires_before.flatten().unwrap_or(Timestamp(i64::MAX)),
    };
    let found = store::before(conn, (now, &wanted), (&before, limit + 1)).await?;
    let shown = found.iter().map(|stored| stored.shown(now)).collect();
    Ok(Page::of(shown, limit, |c: &Certificate| Cursor { key: String::new(), id: c.id.to_string() }))
}
