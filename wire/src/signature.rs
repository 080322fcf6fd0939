//! Who made a batch: Ed25519 over its compressed body.

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};

/// The vehicle's private key.
pub struct BatchSigner(SigningKey);

/// The vehicle's public key as enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchVerifier(VerifyingKey);

/// Why a key or signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a public key.
    #[error("public key is not 32 bytes of an Ed25519 point")]
    Key,
    /// The batch has none.
    #[error("batch is not signed")]
    Missing,
    /// It does not match the body and key.
    #[error("signature does not match")]
    Mismatch,
}

impl BatchSigner {
    /// From 32 secret bytes.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The 32 bytes to enrol.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs a compressed body.
    pub fn sign(&self, body: &[u8]) -> Vec<u8> {
        self.0.sign(body).to_bytes().to_vec()
    }
}

impl BatchVerifier {
    /// From the enrolled bytes.
    pub fn from_public(key: &[u8]) -> Result<Self, SignatureError> {
        let bytes: [u8; 32] = key.try_into().map_err(|_| SignatureError::Key)?;
        VerifyingKey::from_bytes(&bytes).map(Self).map_err(|_| SignatureError::Key)
    }

    /// Checks the signature of a compressed body.
    pub fn verify(&self, body: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if signature.is_empty() {
            return Err(SignatureError::Missing);
        }
        let signature = Signature::from_slice(signature).map_err(|_| SignatureError::Mismatch)?;
        self.0.verify(body, &signature).map_err(|_| SignatureError::Mismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_enrolled_key_and_the_same_bytes_pass() {
        let signer = BatchSigner::from_secret(&[7; 32]);
        let verifier = BatchVerifier::from_public(&signer.public_key()).unwrap();
        let signature = signer.sign(b"body");
        assert_eq!(verifier.verify(b"body", &signature), Ok(()));
        assert_eq!(verifier.verify(b"bodx", &signature), Err(SignatureError::Mismatch));
        assert_eq!(verifier.verify(b"body", &[]), Err(SignatureError::Missing));
        let other = BatchSigner::from_secret(&[8; 32]).sign(b"body");
        assert_eq!(verifier.verify(b"body", &other), Err(SignatureError::Mismatch));
    }
}
