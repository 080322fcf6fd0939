//! Certificate requests (PKCS #10, RFC 2986): what of them is believed. That is their key alone, and that who asks has
//! the secret half of it, as the request's signature says. Names and extensions in them are not looked at.

use sha2::{Digest, Sha256};
use x509_parser::{
    certification_request::X509CertificationRequest,
    oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA},
    pem::Pem,
    prelude::FromDer,
    public_key::PublicKey,
};

use crate::{fault::DomainError, text::hex};

/// The largest RSA key makes some 2 KiB.
const PEM_LEN_MAX: usize = 16 * 1024;
/// NIST SP 800-57, part 1, table 2: 112 bits of security, the least that is not disallowed.
const RSA_BITS_MIN: usize = 2048;
/// More than that nobody here verifies.
const RSA_BITS_MAX: usize = 8192;
const FIELD: &str = "csr_pem";

/// A request whose key is strong enough and whose signature is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckedRequest {
    pub(crate) der: Vec<u8>,
    /// `SubjectPublicKeyInfo`, DER.
    pub(crate) public_key: Vec<u8>,
}

impl CheckedRequest {
    /// Reads and checks a request in PEM.
    pub(crate) fn read(what: &'static str, pem: &str) -> Result<Self, DomainError> {
        parsed(pem).map_err(|message| DomainError::invalid(what, FIELD, message))
    }

    /// What tells its key from others.
    pub(crate) fn key_hash(&self) -> String {
        hex(&Sha256::digest(&self.public_key))
    }
}

fn parsed(pem: &str) -> Result<CheckedRequest, &'static str> {
    const NONE: &str = "must be a certificate request in PEM (\"BEGIN CERTIFICATE REQUEST\")";
    if pem.len() > PEM_LEN_MAX {
        return Err("must be at most 16 KiB");
    }
    let blocks = Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok);
    let is_request = |pem: &Pem| matches!(&*pem.label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST");
    let block = blocks.into_iter().find(is_request).ok_or(NONE)?;
    let (rest, request) = X509CertificationRequest::from_der(&block.contents).map_err(|_| NONE)?;
    if !rest.is_empty() {
        return Err(NONE);
    }
    let info = &request.certification_request_info;
    check_key(&info.subject_pki)?;
    let signed_by = &request.signature_algorithm.algorithm;
    // SHA-1 (NIST SP 800-131A, 3): collisions are made of it.
    if [OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA].contains(signed_by) {
        return Err("is signed with SHA-1; sign it with SHA-256 or better");
    }
    request.verify_signature().map_err(|_| "is not signed by its own key")?;
    Ok(CheckedRequest { public_key: info.subject_pki.raw.to_vec(), der: block.contents.clone() })
}

fn check_key(key: &x509_parser::x509::SubjectPublicKeyInfo<'_>) -> Result<(), &'static str> {
    const WEAK: &str =
        "has a key of another kind or too weak; take P-256, P-384, Ed25519 or RSA of 2048 to 8192 bits";
    if let Ok(PublicKey::RSA(rsa)) = key.parsed() {
        let is_right = (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&rsa.key_size());
        return if is_right { Ok(()) } else { Err(WEAK) };
    }
    // By the kinds that can be signed for: P-256, P-384 and Ed25519.
    rcgen::SubjectPublicKeyInfo::from_der(key.raw).map(|_| ()).map_err(|_| WEAK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    use super::*;

    #[test]
    fn keys_that_are_strong_enough_are_taken_whatever_the_request_says() {
        for kind in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
            let key = KeyPair::generate_for(kind).unwrap();
            let mut params = CertificateParams::new(vec!["someone.else.example".to_owned()]).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let request = params.serialize_request(&key).unwrap();
            let checked = parsed(&request.pem().unwrap()).unwrap();
            assert_eq!(checked.public_key, rcgen::PublicKeyData::subject_public_key_info(&key));
            assert_eq!(checked.der, request.der().to_vec());
        }
    }

    #[test]
    fn a_request_that_another_key_signed_is_none() {
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        let mut der = request.der().to_vec();
        let last = der.len() - 1;
        der[last] ^= 1;
        let forged = crate::devices::authority::pem_of("CERTIFICATE REQUEST", &der);
        assert_eq!(parsed(&forged), Err("is not signed by its own key"));
        der.push(0);
        let longer = crate::devices::authority::pem_of("CERTIFICATE REQUEST", &der);
        assert!(parsed(&longer).unwrap_err().contains("must be a certificate request"));
        for none in
            ["", "x", "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n"]
        {
            assert!(parsed(none).is_err(), "{none}");
        }
        assert_eq!(parsed(&" ".repeat(PEM_LEN_MAX + 1)), Err("must be at most 16 KiB"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parsed(&crate::devices::authority::pem_of("CERTIFICATE REQUEST", &bytes));
        }

        #[test]
        fn a_damaged_request_is_for_no_other_key(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let key = KeyPair::generate().unwrap();
            let mut der = CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();
            let at = at.index(der.len());
            der[at] ^= 1 << bit;
            // Of the signature's text the count of unused bits means nothing.
            let own = rcgen::PublicKeyData::subject_public_key_info(&key);
            let read = parsed(&crate::devices::authority::pem_of("CERTIFICATE REQUEST", &der));
            prop_assert!(read.is_err() || read.is_ok_and(|read| read.public_key == own));
        }
    }
}
