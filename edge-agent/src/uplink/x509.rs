//! The few facts of a certificate that decide whether it can serve: its dates and its names.
//!
//! Reads DER (ITU-T X.690) as far as RFC 5280 section 4.1 needs it. It verifies nothing: who
//! trusts a certificate is rustls and the broker.

use wire::time::Timestamp;

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
}

const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0] EXPLICIT`, the version.
const VERSION: u8 = 0xA0;
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Reads the facts of a DER certificate; `None` when it is none.
pub(crate) fn facts(der: &[u8]) -> Option<CertificateFacts> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        (_, rest) = expect(rest, VERSION)?;
    }
    (_, rest) = expect(rest, INTEGER)?;
    (_, rest) = expect(rest, SEQUENCE)?;
    let (issuer, rest) = expect(rest, SEQUENCE)?;
    let (validity, rest) = expect(rest, SEQUENCE)?;
    let (subject, _) = expect(rest, SEQUENCE)?;
    let (not_before, after) = time(validity)?;
    let (not_after, _) = time(after)?;
    Some(CertificateFacts {
        not_before,
        not_after,
        common_name: common_name(subject),
        issuer: issuer.to_vec(),
        subject: subject.to_vec(),
    })
}

/// Tag, content and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

/// The content of an element of that tag, and what follows.
fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// RFC 5280 4.1.2.5: `YYMMDDHHMMSSZ` from 1950 to 2049, `YYYYMMDDHHMMSSZ` otherwise.
fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    let text = std::str::from_utf8(content).ok()?;
    let text = match tag {
        UTC_TIME => {
            let year: u32 = text.get(..2)?.parse().ok()?;
            format!("{}{text}", if year < 50 { "20" } else { "19" })
        }
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |range: std::ops::Range<usize>| text.get(range);
    let (date, clock) = (
        format!("{}-{}-{}", part(0..4)?, part(4..6)?, part(6..8)?),
        format!("{}:{}:{}", part(8..10)?, part(10..12)?, part(12..14)?),
    );
    Some((Timestamp::parse(&format!("{date}T{clock}Z")).ok()?, rest))
}

/// The first common name of a distinguished name: a sequence of sets of pairs.
fn common_name(mut name: &[u8]) -> Option<String> {
    while !name.is_empty() {
        let (mut set, rest) = expect(name, SET)?;
        name = rest;
        while !set.is_empty() {
            let (pair, rest) = expect(set, SEQUENCE)?;
            set = rest;
            let (id, value) = expect(pair, OBJECT_ID)?;
            if id == COMMON_NAME {
                let (_, text, _) = element(value)?;
                return String::from_utf8(text.to_vec()).ok();
            }
        }
    }
    None
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
