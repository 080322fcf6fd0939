//! Certificates, as clients see them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{ids::VehicleId, time::Timestamp};

use crate::ids::{CertificateId, DeviceId, OrganizationId, RegistryId};

/// A client certificate of a device.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Certificate {
    /// `crt_…`
    #[schema(value_type = String)]
    pub id: CertificateId,
    /// Of whose device; null for the operator's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// Of which device, `dev_…`.
    #[schema(value_type = String)]
    pub device_id: DeviceId,
    /// In which vehicle it is to be used, `veh_…`.
    #[schema(value_type = String)]
    pub vehicle_id: RegistryId,
    /// The name on it: that vehicle's telemetry id.
    #[schema(value_type = String, example = "van-7")]
    pub common_name: VehicleId,
    /// Lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 of its DER, lower-case hexadecimal.
    pub fingerprint_sha256: String,
    /// From when it is good.
    #[schema(value_type = String, format = DateTime)]
    pub not_before: Timestamp,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    pub not_after: Timestamp,
    /// Whether it is good now.
    pub status: CertificateStatus,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
    /// Why.
    pub revocation_reason: Option<RevocationReason>,
    /// By which way it was issued.
    pub issued_by: IssuedBy,
    /// The one that came after it, `crt_…`.
    #[schema(value_type = Option<String>)]
    pub replaced_by_id: Option<CertificateId>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A certificate with its text.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CertificateWhole {
    /// The certificate.
    #[serde(flatten)]
    pub certificate: Certificate,
    /// In PEM.
    pub certificate_pem: String,
}

/// A certificate that was issued by hand.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CertificateIssued {
    /// The certificate.
    #[serde(flatten)]
    pub whole: CertificateWhole,
    /// Who signed it, and who signed that, in PEM.
    pub chain_pem: String,
}

/// Whether a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateStatus {
    /// It is.
    Active,
    /// It was, until its end.
    Expired,
    /// It was, until it was revoked.
    Revoked,
}

/// By which way a certificate was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IssuedBy {
    /// A token.
    Enrolment,
    /// The device's key.
    Renewal,
    /// A person.
    Operator,
}

/// Why a certificate is good no more (RFC 5280, 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevocationReason {
    /// Nobody said.
    Unspecified,
    /// Somebody else may have its key.
    KeyCompromise,
    /// Its device is no longer in that vehicle.
    AffiliationChanged,
    /// There is another.
    Superseded,
    /// Its device is out of service.
    CessationOfOperation,
}

impl CertificateStatus {
    /// Each.
    pub const ALL: [Self; 3] = [Self::Active, Self::Expired, Self::Revoked];

    /// As asked for and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl IssuedBy {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enrolment => "enrolment",
            Self::Renewal => "renewal",
            Self::Operator => "operator",
        }
    }
}

impl FromStr for IssuedBy {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Enrolment, Self::Renewal, Self::Operator].into_iter().find(|s| s.as_str() == text).ok_or(())
    }
}

impl RevocationReason {
    const ALL: [Self; 5] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
    ];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key_compromise",
            Self::AffiliationChanged => "affiliation_changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation_of_operation",
        }
    }

    /// As lists have it.
    pub(crate) fn code(self) -> rcgen::RevocationReason {
        match self {
            Self::Unspecified => rcgen::RevocationReason::Unspecified,
            Self::KeyCompromise => rcgen::RevocationReason::KeyCompromise,
            Self::AffiliationChanged => rcgen::RevocationReason::AffiliationChanged,
            Self::Superseded => rcgen::RevocationReason::Superseded,
            Self::CessationOfOperation => rcgen::RevocationReason::CessationOfOperation,
        }
    }
}

impl FromStr for RevocationReason {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or(())
    }
}

/// A certificate to issue by hand.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCertificate {
    /// A certificate request (PKCS #10) in PEM. Of it only the key counts.
    pub csr_pem: String,
}

/// Why to revoke a certificate.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Why.
    pub reason: RevocationReason,
}

/// Which certificates to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CertificateQuery {
    /// Only of this organization's devices.
    pub organization_id: Option<String>,
    /// Only of this device.
    pub device_id: Option<String>,
    /// Only those of this status.
    #[param(inline)]
    pub status: Option<CertificateStatus>,
    /// Only those that end before this time.
    pub expires_before: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
