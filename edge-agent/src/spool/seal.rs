//! Encryption at rest: each record of a segment sealed by ChaCha20-Poly1305 (RFC 8439).
//!
//! A sealed record is `nonce (12 bytes) | ciphertext | tag (16 bytes)`; the segment's header, which
//! stays readable, is authenticated with every record, so that none can be moved to another
//! segment, and its sequence inside says its place. Nonces are random: at a batch a second the
//! 2^32 that one key may safely take (NIST SP 800-38D, 8.3) last over a century. What stays
//! readable: ids, sizes, times of gaps, and the catalogues. This cipher, as small units often
//! have no AES instructions.

use std::{fmt, io};

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use sha2::{Digest, Sha256};

/// The key of a spool.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SpoolKey([u8; 32]);

impl SpoolKey {
    /// Of 32 secret bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for SpoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Which key sealed a segment; tells nothing of the key.
pub(super) type KeyId = [u8; 8];

/// Bytes a sealed record has more than a plain one.
pub(super) const SEAL_BYTES: usize = NONCE_LEN + 16;

/// Seals and opens records.
pub(super) struct Sealer {
    key: LessSafeKey,
    key_id: KeyId,
    random: SystemRandom,
}

impl Sealer {
    pub(super) fn new(key: &SpoolKey) -> io::Result<Self> {
        let unbound = UnboundKey::new(&CHACHA20_POLY1305, &key.0).map_err(|_| failed("set up"))?;
        let mut hasher = Sha256::new();
        hasher.update(b"roadlake spool key id\0");
        hasher.update(key.0);
        let mut key_id = KeyId::default();
        for (to, from) in key_id.iter_mut().zip(hasher.finalize()) {
            *to = from;
        }
        Ok(Self { key: LessSafeKey::new(unbound), key_id, random: SystemRandom::new() })
    }

    pub(super) fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Seals a record of the segment with that header.
    pub(super) fn seal(&self, header: &[u8], content: &[u8]) -> io::Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| failed("draw a nonce"))?;
        let mut sealed = content.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(header), &mut sealed)
            .map_err(|_| failed("seal a record"))?;
        Ok([&nonce, sealed.as_slice()].concat())
    }

    /// The record sealed so; `None` when a bit of it, or its header, is another.
    pub(super) fn open(&self, header: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut bytes = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let len = self.key.open_in_place(nonce, Aad::from(header), &mut bytes).ok()?.len();
        bytes.truncate(len);
        Some(bytes)
    }
}

fn failed(what: &str) -> io::Error {
    io::Error::other(format!("cannot {what} (ChaCha20-Poly1305)"))
}
