//! JSON Web Tokens that the provider signed (RFC 7515, 7519): read, verified by its keys, and only then believed.
//!
//! The signatures are ring's work. A library for the rest would have brought a second RSA (the crate `rsa`, of which an
//! advisory is open) or aws-lc beside it, for these few lines; and here an algorithm that is not in the list below
//! (`none`, or a secret's HMAC) cannot be named at all.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;
use serde::{Deserialize, de::DeserializeOwned};

use super::jwk::Keys;

/// Longest token that is looked at: with the groups of a large company in it, providers stay below 16 KiB.
const BYTES_MAX: usize = 32 * 1024;

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// It is no token of the kind.
    #[error("it does not read as a signed JSON Web Token: {0}")]
    Unreadable(&'static str),
    /// By what it says to be signed.
    #[error("its algorithm {0:?} is none that is taken")]
    Algorithm(String),
    /// There is no key for it.
    #[error("the provider has no such key")]
    UnknownKey,
    /// It is not signed by that key.
    #[error("its signature is wrong")]
    Signature,
    /// It says something else than it must.
    #[error("its {0:?} is not as it must be")]
    Claim(&'static str),
    /// Its time is over.
    #[error("it has expired")]
    Expired,
}

/// How a token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }

    /// As it is written.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// What `at_hash` is made with; of EdDSA that is Ed25519's own.
    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 => &digest::SHA256,
            Self::Rs384 | Self::Es384 => &digest::SHA384,
            Self::Rs512 | Self::EdDsa => &digest::SHA512,
        }
    }

    /// The hash of an access token, as the ID token beside it tells it.
    pub(super) fn half_hash(self, text: &str) -> String {
        let hash = digest::digest(self.digest(), text.as_bytes());
        let half = &hash.as_ref()[..hash.as_ref().len() / 2];
        URL_SAFE_NO_PAD.encode(half)
    }
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
}

/// A token as it came; nobody knows whose.
#[derive(Debug)]
pub(super) struct Unverified<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    signed: &'a str,
    signature: Vec<u8>,
}

/// What the provider has signed.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) algorithm: Algorithm,
    /// What kind of token it says to be, in lower case.
    pub(super) typ: Option<String>,
    payload: Vec<u8>,
}

/// Whether a text looks like one: three parts. An API key has none.
pub(crate) fn is_meant(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl<'a> Unverified<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, TokenError> {
        use TokenError::Unreadable;
        if text.len() > BYTES_MAX {
            return Err(Unreadable("too long"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Unreadable("no signature"))?;
        let (header, payload) = signed.split_once('.').ok_or(Unreadable("no payload"))?;
        if payload.contains('.') {
            return Err(Unreadable("more than three parts"));
        }
        let header: Header = read(header, "header")?;
        // What must be understood and is not (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return Err(Unreadable("it has critical extensions"));
        }
        let algorithm = Algorithm::named(&header.alg)
            .ok_or_else(|| TokenError::Algorithm(header.alg.chars().take(20).collect()))?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Unreadable("signature"))?;
        Ok(Self { algorithm, kid: header.kid, typ: header.typ, signed, signature })
    }

    /// By a key of the provider's.
    pub(super) fn verified(self, keys: &Keys) -> Result<Verified, TokenError> {
        keys.verify((self.algorithm, self.kid.as_deref()), self.signed.as_bytes(), &self.signature)?;
        let payload = self.signed.split_once('.').map_or("", |(_, payload)| payload);
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Unreadable("payload"))?;
        Ok(Verified { algorithm: self.algorithm, typ: self.typ.map(|typ| typ.to_lowercase()), payload })
    }
}

impl Verified {
    pub(super) fn claims<T: DeserializeOwned>(&self) -> Result<T, TokenError> {
        serde_json::from_slice(&self.payload).map_err(|_| TokenError::Unreadable("claims"))
    }
}

fn read<T: DeserializeOwned>(part: &str, what: &'static str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Unreadable(what))?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Unreadable(what))
}
