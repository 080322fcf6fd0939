//! The provider's tokens as they lie in the database: sealed (AES-256-GCM) with a key that is in a file beside it, so that
//! who has the one without the other has nothing.

use std::{fs, io, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};

use crate::{
    fault::DomainError,
    ids::SessionId,
    text::{hex, unhex},
};

const KEY_BYTES: usize = 32;

/// What is kept of the provider's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tokens {
    /// To ask with whether the person still may come in.
    pub(super) refresh: Option<String>,
    /// To sign out with there.
    pub(super) id: Option<String>,
}

/// The key.
pub(crate) struct SessionKey(LessSafeKey);

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or made.
    #[error("cannot read or make {path}; its folder must be there, and be ours to write on the first start")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{0} must hold 64 hexadecimal digits; remove it to have one made, which signs everybody out")]
    Content(String),
}

impl SessionKey {
    /// Reads the key of a file; the first start makes one, for its owner alone.
    pub(crate) fn open_or_make(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::File { path: path.display().to_string(), source };
        if !path.try_exists().map_err(failed)? {
            make(path).map_err(failed)?;
        }
        Self::open(path)
    }

    /// Reads the key of a file that is there.
    pub(crate) fn open(path: &Path) -> Result<Self, KeyFileError> {
        let place = || path.display().to_string();
        let text = fs::read_to_string(path).map_err(|source| KeyFileError::File { path: place(), source })?;
        let bytes = unhex(text.trim()).filter(|bytes| bytes.len() == KEY_BYTES);
        let bytes = bytes.ok_or_else(|| KeyFileError::Content(place()))?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| KeyFileError::Content(place()))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals what is of a session: of another's row it does not open.
    pub(super) fn seal(&self, id: &SessionId, tokens: &Tokens) -> Result<String, DomainError> {
        let mut nonce = [0_u8; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| DomainError::Key)?;
        let mut text = serde_json::to_vec(tokens).map_err(|_| DomainError::Key)?;
        let bound = Aad::from(id.as_str().as_bytes());
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut text)
            .map_err(|_| DomainError::Key)?;
        Ok(STANDARD.encode([&nonce[..], &text].concat()))
    }

    /// Opens it again; none when it was sealed with another key, or for another session.
    pub(super) fn open_sealed(&self, id: &SessionId, sealed: &str) -> Option<Tokens> {
        let mut bytes = STANDARD.decode(sealed).ok()?;
        if bytes.len() < NONCE_LEN {
            return None;
        }
        let mut text = bytes.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&bytes).ok()?;
        let opened = self.0.open_in_place(nonce, Aad::from(id.as_str().as_bytes()), &mut text).ok()?;
        serde_json::from_slice(opened).ok()
    }
}

/// Two processes that start at once have the key of one of them: a link, unlike a rename, replaces nothing.
fn make(path: &Path) -> io::Result<()> {
    let mut bytes = [0_u8; KEY_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
    let mut own = path.as_os_str().to_owned();
    own.push(format!(".{}", std::process::id()));
    let whole = service::files::prepare(Path::new(&own), format!("{}\n", hex(&bytes)).as_bytes(), 0o600)?;
    let linked = fs::hard_link(&whole, path);
    fs::remove_file(&whole)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => service::files::sync_folder_of(path),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use wire::time::Timestamp;

    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_session_by_its_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.key");
        let key = SessionKey::open_or_make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
        let (one, two) = (SessionId::new(Timestamp(1)), SessionId::new(Timestamp(2)));
        let tokens = Tokens { refresh: Some("r-secret".to_owned()), id: None };
        let sealed = key.seal(&one, &tokens).unwrap();
        assert!(
            !sealed.contains("secret") && sealed != key.seal(&one, &tokens).unwrap(),
            "never the same twice"
        );
        // As after a restart.
        let again = SessionKey::open_or_make(&path).unwrap();
        assert_eq!(again.open_sealed(&one, &sealed), Some(tokens));
        assert_eq!(again.open_sealed(&two, &sealed), None);
        let other = SessionKey::open_or_make(&folder.path().join("other.key")).unwrap();
        assert_eq!(other.open_sealed(&one, &sealed), None);
        for bad in ["", "AAAA", "no base64", &sealed[..sealed.len() - 4]] {
            assert_eq!(again.open_sealed(&one, bad), None, "{bad}");
        }
        fs::write(&path, "abc\n").unwrap();
        assert!(SessionKey::open_or_make(&path).unwrap_err().to_string().contains("64 hexadecimal"));
    }
}
