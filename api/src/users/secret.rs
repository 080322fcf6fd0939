//! The text of an API key, and its hash: `rlk_` with a prefix that finds it and a secret that proves
//! it. The secret is 256 random bits; what is stored is its Argon2id hash.
//!
//! Argon2 costs tens of milliseconds and 19 MiB, so what was found right is remembered by the
//! SHA-256 of the text, and no more than two are computed at a time: others wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::{
    fault::DomainError,
    text::{hex, unhex},
};

const START: &str = "rlk_";
const PREFIX_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;
/// Texts remembered; all are forgotten when it is full.
const REMEMBERED_MAX: usize = 4_096;
const HASHING_MAX: usize = 2;
/// Longest wait for a place.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// A key's text in its parts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyText {
    pub(crate) prefix: String,
    secret: String,
}

impl KeyText {
    /// A new one.
    pub(crate) fn generate() -> Result<Self, DomainError> {
        let mut bytes = [0_u8; PREFIX_BYTES + SECRET_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| DomainError::Key)?;
        let (prefix, secret) = bytes.split_at(PREFIX_BYTES);
        Ok(Self { prefix: hex(prefix), secret: hex(secret) })
    }

    /// What a caller sent, if it looks like a key.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (prefix, secret) = text.strip_prefix(START)?.split_once('_')?;
        let is_hex = |part: &str, bytes| part.len() == 2 * bytes && unhex(part).is_some();
        (is_hex(prefix, PREFIX_BYTES) && is_hex(secret, SECRET_BYTES))
            .then(|| Self { prefix: prefix.to_owned(), secret: secret.to_owned() })
    }

    /// Whether a text was meant to be one.
    pub(crate) fn is_meant(text: &str) -> bool {
        text.starts_with(START)
    }

    /// The whole text: shown once, never stored.
    pub(crate) fn expose(&self) -> String {
        format!("{START}{}_{}", self.prefix, self.secret)
    }
}

impl std::fmt::Debug for KeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{START}{}_***", self.prefix)
    }
}

/// Hashes and checks, a few at a time.
#[derive(Debug)]
pub(crate) struct Hashing {
    places: Arc<Semaphore>,
    /// The hash a text was found to belong to, by the SHA-256 of the text.
    right: Mutex<HashMap<[u8; 32], String>>,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(HASHING_MAX)), right: Mutex::default() }
    }
}

impl Hashing {
    /// The hash to store.
    pub(crate) async fn hash(&self, key: &KeyText) -> Result<String, DomainError> {
        let secret = key.secret.clone();
        self.blocking(move || {
            let hash: Result<PasswordHash, _> = Argon2::default().hash_password(secret.as_bytes());
            hash.map(|h| h.to_string()).map_err(|_| DomainError::Key)
        })
        .await?
    }

    /// Whether the text was found right before, of some hash.
    pub(crate) fn remembers(&self, key: &KeyText) -> bool {
        self.right.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&digest_of(key))
    }

    /// Whether it is the key of this hash.
    pub(crate) async fn is_right(&self, key: &KeyText, hash: &str) -> Result<bool, DomainError> {
        let digest = digest_of(key);
        if self.right.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).is_some_and(|h| h == hash) {
            return Ok(true);
        }
        let (secret, stored) = (key.secret.clone(), hash.to_owned());
        let is_right = self
            .blocking(move || {
                PasswordHash::new(&stored)
                    .is_ok_and(|hash| Argon2::default().verify_password(secret.as_bytes(), &hash).is_ok())
            })
            .await?;
        if is_right {
            let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
            if right.len() >= REMEMBERED_MAX {
                right.clear();
            }
            right.insert(digest, hash.to_owned());
        }
        Ok(is_right)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, DomainError> {
        let waited = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.places).acquire_owned()).await;
        // Never closed, and the work does not panic: both are ours to answer for.
        let place = waited.map_err(|_| DomainError::Busy("too many keys are being checked"))?;
        let place = place.map_err(|_| DomainError::Key)?;
        let work = move || {
            // Held until the work is done, whether or not anybody still waits for it.
            let _place = place;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| DomainError::Key)
    }
}

fn digest_of(key: &KeyText) -> [u8; 32] {
    Sha256::digest(key.expose().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_proves_itself_and_no_other() {
        let hashing = Hashing::default();
        let key = KeyText::generate().unwrap();
        let hash = hashing.hash(&key).await.unwrap();
        assert!(hash.starts_with("$argon2id$") && !hash.contains(&key.secret), "{hash}");
        let read = KeyText::parse(&key.expose()).unwrap();
        assert_eq!(read, key);
        for _ in 0..2 {
            assert!(hashing.is_right(&read, &hash).await.unwrap());
        }
        let other = KeyText { prefix: key.prefix.clone(), ..KeyText::generate().unwrap() };
        assert!(!hashing.is_right(&other, &hash).await.unwrap());
        // A key that got another hash is not right by what was remembered.
        let anew = hashing.hash(&other).await.unwrap();
        assert!(!hashing.is_right(&key, &anew).await.unwrap());
        assert!(!format!("{key:?}").contains(&key.secret));
    }

    #[tokio::test]
    async fn whoever_hangs_up_frees_no_place_that_is_in_use() {
        let hashing = Hashing::default();
        let (begun, seen) = std::sync::mpsc::sync_channel(1);
        let (end, ended) = std::sync::mpsc::sync_channel::<()>(1);
        let work = move || {
            begun.send(()).unwrap();
            ended.recv().unwrap();
        };
        {
            let mut asking = std::pin::pin!(hashing.blocking(work));
            assert!(futures::poll!(asking.as_mut()).is_pending());
            seen.recv().unwrap();
        }
        assert_eq!(hashing.places.available_permits(), HASHING_MAX - 1);
        end.send(()).unwrap();
        let all = hashing.places.acquire_many(u32::try_from(HASHING_MAX).unwrap()).await.unwrap();
        drop(all);
    }

    #[test]
    fn what_is_no_key_is_not_looked_up() {
        let key = KeyText::generate().unwrap().expose();
        for bad in
            ["", "rlk_", "rlk__", &key[..key.len() - 1], &key.replace("rlk", "key"), &format!("{key}0")]
        {
            assert_eq!(KeyText::parse(bad), None, "{bad}");
        }
    }
}
