//! How a campaign set travels: its text (TOML or JSON), behind one line that carries an Ed25519
//! signature over it.
//!
//! The line begins with `#`, so a signed TOML set is still TOML to an editor, and a set without
//! the line is an unsigned one. What is signed is [`CONTEXT`] and then the text, so that no
//! signature of anything else by the same key passes for one of a campaign set.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::signature::{BatchSigner, BatchVerifier, SignatureError};

/// Largest payload, with its signature.
pub const SET_BYTES_MAX: usize = 128 * 1024;
/// What stands before the text when it is signed.
pub const CONTEXT: &[u8] = b"roadlake campaigns v1\n";
const MARK: &[u8] = b"# roadlake-signed v1 ed25519 ";
const SIGNATURE_LEN: usize = 64;

/// The first 16 bytes of the SHA-256 of a set's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SetHash(pub [u8; 16]);

impl SetHash {
    /// Of a text.
    pub fn of(text: &str) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
        Self(bytes)
    }
}

impl fmt::Display for SetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A payload taken apart; its signature is not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetPayload<'a> {
    /// The set's text.
    pub text: &'a str,
    signature: Option<[u8; SIGNATURE_LEN]>,
}

/// Why a payload is no campaign set, or not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetPayloadError {
    /// Over [`SET_BYTES_MAX`].
    #[error("campaign set of {0} bytes is over the limit of {SET_BYTES_MAX}")]
    TooLarge(usize),
    /// Not text.
    #[error("campaign set is not UTF-8 text")]
    Text,
    /// The first line is a signature's, and wrong.
    #[error("the signature line must end in 128 hexadecimal digits; sign the set again")]
    SignatureLine,
    /// There is none.
    #[error("campaign set is not signed; sign it with `edge-agent campaign sign`")]
    Unsigned,
    /// It does not match the text and key.
    #[error("the signature is not of this text by the configured key")]
    Mismatch(#[source] SignatureError),
}

impl<'a> SetPayload<'a> {
    /// Takes a payload apart.
    pub fn split(payload: &'a [u8]) -> Result<Self, SetPayloadError> {
        if payload.len() > SET_BYTES_MAX {
            return Err(SetPayloadError::TooLarge(payload.len()));
        }
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| SetPayloadError::Text);
        let Some(rest) = payload.strip_prefix(MARK) else {
            return Ok(Self { text: text(payload)?, signature: None });
        };
        let (digits, after) =
            rest.split_at_checked(2 * SIGNATURE_LEN).ok_or(SetPayloadError::SignatureLine)?;
        let body = after.strip_prefix(b"\n").ok_or(SetPayloadError::SignatureLine)?;
        let signature = from_hex(digits).ok_or(SetPayloadError::SignatureLine)?;
        Ok(Self { text: text(body)?, signature: Some(signature) })
    }

    /// Whether there is a signature at all.
    pub fn is_signed(&self) -> bool {
        self.signature.is_some()
    }

    /// Checks the signature.
    pub fn verify(&self, key: &BatchVerifier) -> Result<(), SetPayloadError> {
        let signature = self.signature.as_ref().ok_or(SetPayloadError::Unsigned)?;
        key.verify(&signed_bytes(self.text), signature).map_err(SetPayloadError::Mismatch)
    }
}

/// The payload of a signed set.
pub fn sign(text: &str, key: &BatchSigner) -> Vec<u8> {
    let mut payload = MARK.to_vec();
    for byte in key.sign(&signed_bytes(text)) {
        payload.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    payload.push(b'\n');
    payload.extend_from_slice(text.as_bytes());
    payload
}

fn signed_bytes(text: &str) -> Vec<u8> {
    [CONTEXT, text.as_bytes()].concat()
}

/// Bytes of hexadecimal digits, `N` exactly.
pub fn from_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0_u8; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version = 1\nid = \"fleet\"\n";

    #[test]
    fn a_signed_set_is_verified_by_its_key_alone_and_no_byte_may_change() {
        let signer = BatchSigner::from_secret(&[7; 32]);
        let key = BatchVerifier::from_public(&signer.public_key()).unwrap();
        let payload = sign(TEXT, &signer);
        let split = SetPayload::split(&payload).unwrap();
        assert_eq!((split.text, split.is_signed()), (TEXT, true));
        assert_eq!(split.verify(&key), Ok(()));
        for at in 0..payload.len() {
            let mut bent = payload.clone();
            bent[at] ^= 1;
            let passes = SetPayload::split(&bent).is_ok_and(|s| s.verify(&key).is_ok());
            assert!(!passes, "byte {at}");
        }
        let other = sign(TEXT, &BatchSigner::from_secret(&[8; 32]));
        assert!(matches!(SetPayload::split(&other).unwrap().verify(&key), Err(SetPayloadError::Mismatch(_))));
    }

    #[test]
    fn a_signature_over_the_bare_text_is_not_one_of_a_campaign_set() {
        let signer = BatchSigner::from_secret(&[7; 32]);
        let key = BatchVerifier::from_public(&signer.public_key()).unwrap();
        let hex: String = signer.sign(TEXT.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        let payload = [MARK, hex.as_bytes(), b"\n", TEXT.as_bytes()].concat();
        assert!(SetPayload::split(&payload).unwrap().verify(&key).is_err());
    }

    #[test]
    fn what_is_unsigned_says_so_and_what_is_damaged_too() {
        let key = BatchVerifier::from_public(&BatchSigner::from_secret(&[7; 32]).public_key()).unwrap();
        let plain = SetPayload::split(TEXT.as_bytes()).unwrap();
        assert_eq!(plain.verify(&key), Err(SetPayloadError::Unsigned));
        let split = |payload: &[u8]| SetPayload::split(payload).map(|_| ());
        assert_eq!(split(b"# roadlake-signed v1 ed25519 12"), Err(SetPayloadError::SignatureLine));
        assert_eq!(split(&[0xFF, 0xFE]), Err(SetPayloadError::Text));
        assert_eq!(split(&vec![b' '; SET_BYTES_MAX + 1]), Err(SetPayloadError::TooLarge(SET_BYTES_MAX + 1)));
    }
}
