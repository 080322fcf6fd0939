//! The few facts of a certificate that decide whether it can serve: its dates and its names.
//!
//! It verifies nothing: who trusts a certificate is rustls and the broker. rustls shows neither
//! dates nor names, so `x509-parser` reads them.

use wire::time::Timestamp;
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateFacts {
    /// Not valid before.
    pub(crate) not_before: Timestamp,
    /// Not valid after.
    pub(crate) not_after: Timestamp,
    /// The subject's common name.
    pub(crate) common_name: Option<String>,
    /// The issuer's name as DER.
    pub(crate) issuer: Vec<u8>,
    /// The subject's name as DER.
    pub(crate) subject: Vec<u8>,
    /// The serial number's bytes.
    pub(crate) serial: Vec<u8>,
    /// The key as DER (`SubjectPublicKeyInfo`).
    pub(crate) public_key: Vec<u8>,
}

/// Reads the facts of a DER certificate; `None` when it is none.
pub(crate) fn facts(der: &[u8]) -> Option<CertificateFacts> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    let time = |time: ASN1Time| time.timestamp().checked_mul(1_000_000).map(Timestamp);
    let common_name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    Some(CertificateFacts {
        not_before: time(validity.not_before)?,
        not_after: time(validity.not_after)?,
        common_name: common_name.map(str::to_owned),
        issuer: certificate.issuer().as_raw().to_vec(),
        subject: certificate.subject().as_raw().to_vec(),
        serial: certificate.raw_serial().to_vec(),
        public_key: certificate.public_key().raw.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_and_common_name_are_read_from_a_real_certificate() {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Roadlake");
        params.distinguished_name.push(rcgen::DnType::CommonName, "truck-7");
        params.not_before = rcgen::date_time_ymd(2024, 2, 29);
        params.not_after = rcgen::date_time_ymd(2055, 1, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        let facts = facts(params.self_signed(&key).unwrap().der()).unwrap();
        assert_eq!(facts.not_before, Timestamp::parse("2024-02-29T00:00:00Z").unwrap());
        assert_eq!(facts.not_after, Timestamp::parse("2055-01-02T00:00:00Z").unwrap());
        assert_eq!(facts.common_name.as_deref(), Some("truck-7"));
        assert_eq!(facts.issuer, facts.subject);
    }

    proptest! {
        #[test]
        fn any_bytes_are_facts_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = facts(&bytes);
        }

        #[test]
        fn a_damaged_certificate_is_facts_or_none(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            let mut der = params.self_signed(&key).unwrap().der().to_vec();
            let at = at.index(der.len());
            der[at] = to;
            let _ = facts(&der);
        }
    }
}
