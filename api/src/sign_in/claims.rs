//! What a token must say to be believed (OpenID Connect Core 3.1.3.7, RFC 9068), and whom it is of.

use serde::Deserialize;
use serde_json::Value;
use wire::time::Timestamp;

use super::jwt::{TokenError, Verified};

/// How far the provider's clock may be from ours.
const LEEWAY_S: f64 = 60.0;

/// What is read of a token, or of the provider's `userinfo`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Claims {
    iss: Option<String>,
    pub(super) sub: Option<String>,
    aud: Option<Audience>,
    azp: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    nonce: Option<String>,
    at_hash: Option<String>,
    email: Option<String>,
    email_verified: Option<Value>,
    /// Entra ID's: the domain's owner is the one it knows.
    xms_edov: Option<Value>,
    name: Option<String>,
    preferred_username: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn has(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Many(many) => many.iter().any(|one| one == wanted),
        }
    }

    fn is_many(&self) -> bool {
        matches!(self, Self::Many(many) if many.len() > 1)
    }
}

/// Whom a token is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// As the provider knows them, for ever.
    pub(super) subject: String,
    /// In lower case, as users have it.
    pub(super) email: Option<String>,
    pub(super) is_email_verified: bool,
    pub(super) name: Option<String>,
}

/// Who made a token, for whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) audience: &'a str,
    pub(super) now: Timestamp,
}

/// Checks the ID token of a sign-in: it is the answer to this one, and of this access token.
pub(super) fn of_sign_in(
    token: &Verified,
    expected: Expected<'_>,
    (nonce, access_token): (&str, Option<&str>),
) -> Result<Claims, TokenError> {
    let claims = of_id_token(token, expected)?;
    if claims.nonce.as_deref() != Some(nonce) {
        return Err(TokenError::Claim("nonce"));
    }
    if let (Some(hash), Some(access_token)) = (&claims.at_hash, access_token)
        && *hash != token.algorithm.half_hash(access_token)
    {
        return Err(TokenError::Claim("at_hash"));
    }
    Ok(claims)
}

/// Checks any ID token.
pub(super) fn of_id_token(token: &Verified, expected: Expected<'_>) -> Result<Claims, TokenError> {
    let claims = of_token(token, expected)?;
    let is_many = claims.aud.as_ref().is_some_and(Audience::is_many);
    match claims.azp.as_deref() {
        Some(party) if party != expected.audience => return Err(TokenError::Claim("azp")),
        None if is_many => return Err(TokenError::Claim("azp")),
        _ => {}
    }
    if claims.iat.is_none_or(|at| at > seconds(expected.now) + LEEWAY_S) {
        return Err(TokenError::Claim("iat"));
    }
    Ok(claims)
}

/// Checks an access token.
pub(super) fn of_access_token(token: &Verified, expected: Expected<'_>) -> Result<Claims, TokenError> {
    let typ = token.typ.as_deref();
    if !typ.is_some_and(|typ| ["at+jwt", "application/at+jwt", "jwt"].contains(&typ)) {
        return Err(TokenError::Claim("typ"));
    }
    of_token(token, expected)
}

fn of_token(token: &Verified, expected: Expected<'_>) -> Result<Claims, TokenError> {
    let claims: Claims = token.claims()?;
    if claims.iss.as_deref() != Some(expected.issuer) {
        return Err(TokenError::Claim("iss"));
    }
    if !claims.aud.as_ref().is_some_and(|audience| audience.has(expected.audience)) {
        return Err(TokenError::Claim("aud"));
    }
    let now = seconds(expected.now);
    let end = claims.exp.ok_or(TokenError::Claim("exp"))?;
    if now >= end + LEEWAY_S {
        return Err(TokenError::Expired);
    }
    if claims.nbf.is_some_and(|from| now < from - LEEWAY_S) {
        return Err(TokenError::Claim("nbf"));
    }
    match claims.sub.as_deref() {
        // What the specification allows.
        Some(subject) if (1..=255).contains(&subject.len()) && !subject.contains('\0') => Ok(claims),
        _ => Err(TokenError::Claim("sub")),
    }
}

impl Claims {
    /// When the token ends.
    pub(super) fn ends_at(&self) -> Timestamp {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a float that is too large becomes the largest number"
        )]
        let end_us = (self.exp.unwrap_or(0.0) * 1e6) as i64;
        Timestamp(end_us)
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        let text = |text: &Option<String>| {
            let text = text.as_deref()?.replace(char::is_control, "").trim().to_owned();
            Some(text).filter(|text| !text.is_empty())
        };
        let is_verified = self.email_verified.as_ref().or(self.xms_edov.as_ref()).is_some_and(is_true);
        Some(Identity {
            subject: self.sub.clone()?,
            email: text(&self.email).map(|email| email.to_lowercase()),
            is_email_verified: is_verified,
            name: text(&self.name).or_else(|| text(&self.preferred_username)),
        })
    }
}

/// Some providers send a text or a number.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(is) => *is,
        Value::String(text) => text == "true" || text == "1",
        Value::Number(number) => number.as_i64() == Some(1),
        _ => false,
    }
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of this age are exact in a double")]
fn seconds(time: Timestamp) -> f64 {
    time.0 as f64 / 1e6
}
