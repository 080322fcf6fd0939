//! The provider's keys (RFC 7517), and what they prove.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;

use super::jwt::{Algorithm, TokenError};

/// More keys than a provider ever has at once.
const KEYS_MAX: usize = 100;

/// A set of keys as it is published; what is not for signatures, or of a kind we do not know, is left out.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    /// The only algorithm it is for, where it says so.
    alg: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Debug, Deserialize)]
pub(super) struct Published {
    keys: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    pub(super) fn of(published: Published) -> Self {
        let keys = published.keys.into_iter().take(KEYS_MAX);
        Self(keys.filter_map(|key| serde_json::from_value(key).ok()).filter_map(Key::of).collect())
    }

    /// Whether one of them has signed it. A `kid` names one; without it any of the kind may have.
    pub(super) fn verify(
        &self,
        (algorithm, kid): (Algorithm, Option<&str>),
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenError> {
        let named = self.0.iter().filter(|key| kid.is_none() || key.kid.as_deref() == kid);
        let mut found = TokenError::UnknownKey;
        for key in named.filter(|key| key.is_for(algorithm)) {
            if key.material.has_signed(algorithm, message, signature) {
                return Ok(());
            }
            found = TokenError::Signature;
        }
        Err(found)
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        if jwk.purpose.is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let bytes =
            |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?.trim_end_matches('=')).ok();
        // An uncompressed point; a coordinate has all its bytes (RFC 7518, 6.2.1.2).
        let point = |length: usize| {
            let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
            (x.len() == length && y.len() == length).then(|| [&[4][..], &x, &y].concat())
        };
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let without_zeros = |bytes: Vec<u8>| bytes.into_iter().skip_while(|b| *b == 0).collect();
                Material::Rsa { n: without_zeros(bytes(&jwk.n)?), e: without_zeros(bytes(&jwk.e)?) }
            }
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(&jwk.x)?),
            _ => return None,
        };
        Some(Self { kid: jwk.kid, alg: jwk.alg, material })
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        let is_of_kind = match self.material {
            Material::Rsa { .. } => {
                matches!(algorithm, Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 | Algorithm::Ps256)
            }
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::P384(_) => algorithm == Algorithm::Es384,
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
        };
        is_of_kind && self.alg.as_deref().is_none_or(|alg| alg == algorithm.name() || alg == "Ed25519")
    }
}

impl Material {
    fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let of_rsa = |parameters: &RsaParameters, n: &Vec<u8>, e: &Vec<u8>| {
            RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
        };
        let of_point = |verification: &'static dyn VerificationAlgorithm, point: &Vec<u8>| {
            UnparsedPublicKey::new(verification, point).verify(message, signature).is_ok()
        };
        match (self, algorithm) {
            (Self::Rsa { n, e }, Algorithm::Rs256) => of_rsa(&signature::RSA_PKCS1_2048_8192_SHA256, n, e),
            (Self::Rsa { n, e }, Algorithm::Rs384) => of_rsa(&signature::RSA_PKCS1_2048_8192_SHA384, n, e),
            (Self::Rsa { n, e }, Algorithm::Rs512) => of_rsa(&signature::RSA_PKCS1_2048_8192_SHA512, n, e),
            (Self::Rsa { n, e }, Algorithm::Ps256) => of_rsa(&signature::RSA_PSS_2048_8192_SHA256, n, e),
            (Self::P256(point), Algorithm::Es256) => of_point(&signature::ECDSA_P256_SHA256_FIXED, point),
            (Self::P384(point), Algorithm::Es384) => of_point(&signature::ECDSA_P384_SHA384_FIXED, point),
            (Self::Ed25519(point), Algorithm::EdDsa) => of_point(&signature::ED25519, point),
            _ => false,
        }
    }
}
