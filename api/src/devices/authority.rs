//! The authority that signs: a certificate and its key, out of files. What it signs names it as it is, whatever kind
//! of texts an operator's own has in its name.
//!
//! It checks what it was given once, at the start: that the key is the certificate's, that it may sign certificates and
//! lists, and that the chain above leads up. Its key is in no log and no message.

pub mod init;

use std::{fmt, path::Path, time::Duration};

use rcgen::{
    CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SerialNumber,
    SubjectPublicKeyInfo, date_time_ymd,
};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use wire::time::Timestamp;
use x509_parser::{
    certificate::X509Certificate,
    pem::Pem,
    prelude::{FromDer, ParsedExtension},
};

use super::{certificates::types::RevocationReason, csr::CheckedRequest};
use crate::{fault::DomainError, text::hex};

/// CA/Browser Forum's baseline requirements, 7.1: above 0 and of at least 64 random bits; RFC 5280, 4.1.2.2: at most
/// 20 bytes. Two of the 128 are given: it is positive, and always as long.
const SERIAL_BYTES: usize = 16;
/// A certificate is good from so long before it was made, for clocks that are behind.
pub(crate) const BEHIND_US: i64 = 3_600_000_000;
/// And a list.
const LIST_BEHIND_US: i64 = 300_000_000;

/// What can be wrong with the files of an authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file that cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(String, std::io::Error),
    /// No certificate.
    #[error("{0} holds no certificate in PEM")]
    NoCertificate(String),
    /// No key.
    #[error(
        "{0} holds no private key of P-256, P-384, Ed25519 or RSA in PEM, as PKCS #8 (\"BEGIN PRIVATE KEY\")"
    )]
    NoKey(String),
    /// Another's key.
    #[error("the key is not that of the certificate in {0}")]
    OtherKey(String),
    /// A certificate that may not do this.
    #[error("the certificate in {0} may not {1}")]
    MayNot(String, &'static str),
    /// A name that cannot be written as it is.
    #[error(
        "the name in {0} has parts that cannot be written again as they are (two of a kind, or a rare kind of text)"
    )]
    Name(String),
    /// A chain that does not lead up.
    #[error("certificate {1} of {0} did not sign the one before it; write the issuer of the authority first")]
    Chain(String, usize),
}

/// An authority, ready to sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The identifier of its key, as its certificate has it.
    key_id: KeyIdMethod,
    pem: String,
    chain_pem: String,
    subject: String,
    fingerprint: String,
    key_hash: String,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// A certificate to sign.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) common_name: &'a str,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// A certificate that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) pem: String,
    /// Lower-case hexadecimal.
    pub(crate) serial: String,
    pub(crate) fingerprint: String,
}

/// A line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revoked {
    pub(crate) serial: String,
    pub(crate) at: Timestamp,
    pub(crate) reason: RevocationReason,
}

impl Authority {
    /// Reads and checks an authority's files.
    pub fn open(
        cert_file: &Path,
        key_file: &Path,
        chain_file: Option<&Path>,
    ) -> Result<Self, AuthorityError> {
        let (place, key_place) = (cert_file.display().to_string(), key_file.display().to_string());
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|e| AuthorityError::Read(path.display().to_string(), e))
        };
        let key = KeyPair::from_pem(&read(key_file)?).map_err(|_| AuthorityError::NoKey(key_place))?;
        let ders = certificates_of(&read(cert_file)?);
        let der = ders.first().ok_or_else(|| AuthorityError::NoCertificate(place.clone()))?;
        let (_, own) =
            X509Certificate::from_der(der).map_err(|_| AuthorityError::NoCertificate(place.clone()))?;
        if own.public_key().raw != key.subject_public_key_info() {
            return Err(AuthorityError::OtherKey(place));
        }
        check_may(&own, &place)?;
        let chain = match chain_file {
            Some(path) => {
                let found = certificates_of(&read(path)?);
                check_chain(&own, &found, &path.display().to_string())?;
                found
            }
            None => Vec::new(),
        };
        let key_id = own.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(KeyIdMethod::PreSpecified(id.0.to_vec())),
            _ => None,
        });
        let issuer = Issuer::from_ca_cert_der(&der.as_slice().into(), key)
            .map_err(|_| AuthorityError::Name(place.clone()))?;
        let authority = Self {
            key_id: key_id.unwrap_or(KeyIdMethod::Sha256),
            pem: pem_of("CERTIFICATE", der),
            chain_pem: [der].into_iter().chain(&chain).map(|der| pem_of("CERTIFICATE", der)).collect(),
            subject: own.subject().to_string(),
            fingerprint: hex(&Sha256::digest(der)),
            key_hash: hex(&Sha256::digest(own.public_key().raw)),
            not_before: time_of(own.validity().not_before),
            not_after: time_of(own.validity().not_after),
            issuer,
        };
        // A list it signs must name it byte for byte: whoever checks compares so (RFC 5280, 7.1 allows more).
        let list = authority
            .sign_list((1, &[]), (Timestamp(0), 1_000_000))
            .map_err(|_| AuthorityError::Name(place.clone()))?;
        let is_named = x509_parser::parse_x509_crl(&list)
            .is_ok_and(|(_, list)| list.issuer().as_raw() == own.subject().as_raw());
        if is_named { Ok(authority) } else { Err(AuthorityError::Name(place)) }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Its certificate and those above it.
    pub(crate) fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// Its name, for people.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// SHA-256 of its certificate.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What tells the authority from another that was used before: SHA-256 of its public key. So a certificate of its
    /// own that was renewed changes nothing.
    pub(crate) fn key_hash(&self) -> &str {
        &self.key_hash
    }

    /// From when it is good.
    pub(crate) fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Until when it is good; nothing it signs is good for longer.
    pub(crate) fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Signs a client certificate: of the request only the key counts.
    pub(crate) fn sign(&self, request: &CheckedRequest, wanted: &Wanted<'_>) -> Result<Signed, DomainError> {
        let mut serial = [0_u8; SERIAL_BYTES];
        SystemRandom::new().fill(&mut serial).map_err(|_| DomainError::Key)?;
        serial[0] = serial[0] & 0x3f | 0x40;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, wanted.common_name);
        params.not_before = date_time_ymd(1970, 1, 1) + since_1970(wanted.not_before);
        params.not_after = date_time_ymd(1970, 1, 1) + since_1970(wanted.not_after);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = SubjectPublicKeyInfo::from_der(&request.public_key).map_err(|_| DomainError::Signing)?;
        let signed = params.signed_by(&key, &self.issuer).map_err(|_| DomainError::Signing)?;
        Ok(Signed {
            pem: signed.pem(),
            serial: hex(&serial),
            fingerprint: hex(&Sha256::digest(signed.der())),
        })
    }

    /// Signs a list (RFC 5280, 5) of this number, made now and good for so long; its DER.
    pub(crate) fn sign_list(
        &self,
        (number, revoked): (u64, &[Revoked]),
        (now, valid_us): (Timestamp, i64),
    ) -> Result<Vec<u8>, DomainError> {
        let entry = |revoked: &Revoked| {
            let serial = crate::text::unhex(&revoked.serial).ok_or(DomainError::Signing)?;
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&serial),
                revocation_time: date_time_ymd(1970, 1, 1) + since_1970(revoked.at),
                reason_code: Some(revoked.reason.code()),
                invalidity_date: None,
            })
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(1970, 1, 1) + since_1970(now.plus_us(-LIST_BEHIND_US)),
            next_update: date_time_ymd(1970, 1, 1) + since_1970(now.plus_us(valid_us)),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect::<Result<_, DomainError>>()?,
            key_identifier_method: self.key_id.clone(),
        };
        let signed = params.signed_by(&self.issuer).map_err(|_| DomainError::Signing)?;
        Ok(signed.der().to_vec())
    }
}

/// The certificates of a PEM text, in order.
fn certificates_of(text: &str) -> Vec<Vec<u8>> {
    let blocks = Pem::iter_from_buffer(text.as_bytes()).filter_map(Result::ok);
    blocks.filter(|pem| pem.label == "CERTIFICATE").map(|pem| pem.contents).collect()
}

/// RFC 5280, 4.2.1.9 and 4.2.1.3.
fn check_may(own: &X509Certificate<'_>, place: &str) -> Result<(), AuthorityError> {
    let may_not = |what| Err(AuthorityError::MayNot(place.to_owned(), what));
    if !own.is_ca() {
        return may_not("sign others: it is of no authority (CA:TRUE is missing)");
    }
    let usage = own.key_usage().ok().flatten().map(|usage| usage.value);
    if usage.is_some_and(|usage| !usage.key_cert_sign()) {
        return may_not("sign certificates (its key usage has no keyCertSign)");
    }
    if usage.is_some_and(|usage| !usage.crl_sign()) {
        return may_not("sign lists of revoked certificates (its key usage has no cRLSign)");
    }
    Ok(())
}

/// Each is signed by the next.
fn check_chain(own: &X509Certificate<'_>, chain: &[Vec<u8>], place: &str) -> Result<(), AuthorityError> {
    let parsed: Vec<X509Certificate<'_>> = chain
        .iter()
        .filter_map(|der| X509Certificate::from_der(der).ok())
        .map(|(_, parsed)| parsed)
        .collect();
    if parsed.is_empty() || parsed.len() != chain.len() {
        return Err(AuthorityError::NoCertificate(place.to_owned()));
    }
    let mut below = own;
    for (index, above) in parsed.iter().enumerate() {
        let is_signed = below.issuer().as_raw() == above.subject().as_raw()
            && below.verify_signature(Some(above.public_key())).is_ok();
        if !is_signed {
            return Err(AuthorityError::Chain(place.to_owned(), index + 1));
        }
        below = above;
    }
    Ok(())
}

fn time_of(time: x509_parser::time::ASN1Time) -> Timestamp {
    Timestamp(time.timestamp().saturating_mul(1_000_000))
}

/// A time as certificates have it: whole seconds, of 1970 or later.
fn since_1970(time: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(time.0.div_euclid(1_000_000)).unwrap_or(0))
}

/// PEM (RFC 7468): lines of 64 characters.
pub(crate) fn pem_of(label: &str, der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
