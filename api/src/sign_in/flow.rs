//! To the provider and back: the authorization code flow with PKCE (RFC 6749, 7636; OpenID Connect Core 3.1).
//!
//! The browser has a cookie, the address of the provider a `state`; the database has the hashes of both, for one use within
//! ten minutes. The verifier of PKCE and the `nonce` are made of both and kept nowhere: whoever reads the database, or
//! sees the address, has neither.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{digest, hmac};
use url::Url;
use wire::time::Timestamp;

use super::{
    SignIn,
    accounts::{self, Unknown},
    claims::{self, Expected, Identity},
    hash_of,
    provider::{Given, ProviderError},
    random,
    seal::Tokens,
    sessions::NewSession,
    store,
};
use crate::{
    audit::{self, Who},
    db::Db,
    fault::DomainError,
    users::people::User,
};

/// How long somebody may be at the provider.
const AWAY_US: i64 = 600_000_000;
/// People who may be there at once: more are an attack, which this bounds.
const AWAY_COUNT_MAX: i64 = 10_000;
/// Longest place to return to.
const RETURN_TO_MAX: usize = 2_000;

/// What the console is told of a sign-in that failed; the log has the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Cancelled,
    Expired,
    NoAccount,
    Inactive,
    UnverifiedEmail,
    Provider,
}

impl Code {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::NoAccount => "no_account",
            Self::Inactive => "inactive",
            Self::UnverifiedEmail => "unverified_email",
            Self::Provider => "provider",
        }
    }
}

/// Why somebody did not come in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// As the provider, or what it sent, has it.
    #[error("{1}")]
    Told(Code, &'static str),
    /// The provider was asked in vain.
    #[error("the provider was asked in vain")]
    Provider(#[from] ProviderError),
    /// Our own fault.
    #[error("signing in failed inside")]
    Domain(#[from] DomainError),
}

impl Refused {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Told(code, _) => *code,
            Self::Provider(_) | Self::Domain(_) => Code::Provider,
        }
    }
}

/// A way to the provider.
#[derive(Debug)]
pub(super) struct Start {
    /// Where it is.
    pub(super) url: Url,
    /// The browser's cookie.
    pub(super) browser: String,
}

/// Somebody who came in.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) return_to: String,
    /// The session's cookie.
    pub(super) secret: String,
}

/// What the provider sent the browser back with.
#[derive(Debug, Default)]
pub(super) struct Returned {
    pub(super) state: Option<String>,
    pub(super) code: Option<String>,
    pub(super) error: Option<String>,
    pub(super) iss: Option<String>,
}

/// The cookies of who is back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Browser<'a> {
    /// With which it went.
    pub(super) browser: Option<&'a str>,
    /// Of a session before.
    pub(super) session: Option<&'a str>,
}

impl SignIn {
    /// Sends a browser to the provider. One that is on its way already, in another tab, keeps its cookie.
    pub(super) async fn start(
        &self,
        (db, now): (&Db, Timestamp),
        return_to: Option<&str>,
        browser: Option<String>,
    ) -> Result<Start, Refused> {
        let found = self.provider.discovered().await?;
        let browser = browser.map_or_else(random, Ok)?;
        let state = random()?;
        let mut tx = db.write().await.map_err(DomainError::from)?;
        store::forget_sign_ins(&mut tx, now).await?;
        if store::count_sign_ins(&mut tx).await? >= AWAY_COUNT_MAX {
            return Err(DomainError::Busy("too many people are at the identity provider").into());
        }
        let ends_at = Timestamp(now.0.saturating_add(AWAY_US));
        let hashes = (hash_of(&state), hash_of(&browser));
        store::insert_sign_in(&mut tx, (&hashes.0, &hashes.1), place_of(return_to), ends_at).await?;
        tx.commit().await.map_err(DomainError::from)?;
        let challenge = digest::digest(&digest::SHA256, derived(&browser, &state, "pkce").as_bytes());
        let mut url = found.authorization.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.settings.callback_url())
            .append_pair("scope", &self.provider.scopes(&found))
            .append_pair("state", &state)
            .append_pair("nonce", &derived(&browser, &state, "nonce"))
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
            .append_pair("code_challenge_method", "S256");
        Ok(Start { url, browser })
    }

    /// Takes a browser back.
    pub(super) async fn arrive(
        &self,
        (db, now): (&Db, Timestamp),
        returned: Returned,
        cookies: Browser<'_>,
    ) -> Result<Arrived, Refused> {
        let expired = || Refused::Told(Code::Expired, "no sign-in of this browser is under way by that name");
        let (state, browser) = returned.state.as_deref().zip(cookies.browser).ok_or_else(expired)?;
        let return_to = taken(db, now, (&hash_of(state), &hash_of(browser))).await?.ok_or_else(expired)?;
        // Whose answer it is (RFC 9207), where the provider says so.
        if returned.iss.is_some_and(|iss| iss != self.settings.issuer) {
            return Err(Refused::Told(Code::Provider, "the answer is another provider's"));
        }
        match returned.error.as_deref() {
            Some("access_denied") => return Err(Refused::Told(Code::Cancelled, "cancelled at the provider")),
            Some(error) => {
                let error: String = error.chars().filter(|c| !c.is_control()).take(60).collect();
                tracing::warn!(error, "the provider refuses a sign-in");
                return Err(Refused::Told(Code::Provider, "the provider refuses"));
            }
            None => {}
        }
        let code =
            returned.code.ok_or(Refused::Told(Code::Provider, "the provider sent neither code nor error"))?;
        let given = self.provider.exchange(&code, &derived(browser, state, "pkce")).await?;
        let identity = self.identity_of((db, now), &given, &derived(browser, state, "nonce")).await?;
        let secret = self.signed_in((db, now), &identity, (given, cookies.session)).await?;
        Ok(Arrived { return_to, secret })
    }

    /// Whom the ID token is of; where that does not tell enough of who is new, the provider is asked.
    async fn identity_of(
        &self,
        (db, now): (&Db, Timestamp),
        given: &Given,
        nonce: &str,
    ) -> Result<Identity, Refused> {
        let none = || Refused::Told(Code::Provider, "the provider gave no ID token");
        let token = self.provider.verified(given.id_token.as_deref().ok_or_else(none)?).await?;
        let settings = &self.settings;
        let expected = Expected { issuer: &settings.issuer, audience: &settings.client_id, now };
        let access_token = given.access_token.as_deref();
        let claims =
            claims::of_sign_in(&token, expected, (nonce, access_token)).map_err(ProviderError::from)?;
        let identity = claims.identity().ok_or_else(none)?;
        let Some(access_token) = access_token.filter(|_| !identity.is_email_verified) else {
            return Ok(identity);
        };
        let is_linked = {
            let mut conn = db.read().await.map_err(DomainError::from)?;
            accounts::linked(&mut conn, &settings.issuer, &identity.subject).await?.is_some()
        };
        if is_linked {
            return Ok(identity);
        }
        let told = self.provider.userinfo(access_token).await?;
        Ok(match told.as_ref().and_then(claims::Claims::identity) {
            // Another's answer is nobody's (OpenID Connect Core 5.3.2).
            Some(told) if told.subject == identity.subject => told,
            _ => identity,
        })
    }

    /// Makes the session of a person, if they may have one; its cookie.
    async fn signed_in(
        &self,
        (db, now): (&Db, Timestamp),
        identity: &Identity,
        (given, before): (Given, Option<&str>),
    ) -> Result<String, Refused> {
        let mut tx = db.write().await.map_err(DomainError::from)?;
        let person = accounts::found_or_added(&mut tx, now, &self.settings, identity).await?;
        let user = match person {
            Ok(user) => user,
            Err(unknown) => {
                drop(tx);
                return Err(refused(unknown));
            }
        };
        let check_at = self.next_check(now, given.expires_in);
        let tokens = Tokens { refresh: given.refresh_token, id: given.id_token };
        let subject = &identity.subject;
        let new = NewSession { user: &user, subject, tokens, check_at, before };
        let secret = self.begin(&mut tx, now, new).await?;
        // The row of this request, which was nobody's when the transaction began.
        audit::proven(Who::user(&user));
        audit::note(&mut tx).await.map_err(DomainError::from)?;
        tx.commit().await.map_err(DomainError::from)?;
        Ok(secret)
    }
}

async fn taken(db: &Db, now: Timestamp, hashes: (&str, &str)) -> Result<Option<String>, DomainError> {
    let mut tx = db.write().await?;
    let return_to = store::take_sign_in(&mut tx, now, hashes).await?;
    tx.commit().await?;
    Ok(return_to)
}

/// Tells the audit log of who was refused.
fn refused(unknown: Unknown) -> Refused {
    let (code, why, who) = match unknown {
        Unknown::NoAccount => (Code::NoAccount, "nobody here has this person's address", None),
        Unknown::UnverifiedEmail => {
            (Code::UnverifiedEmail, "the provider has not verified the address", None)
        }
        Unknown::Inactive(user) => (Code::Inactive, "the user is not active", Some(user)),
    };
    audit::proven(who.as_deref().map_or_else(Who::stranger, |user: &User| Who::user(user)));
    audit::refused(code.as_str());
    Refused::Told(code, why)
}

/// Made of what the browser has and what the provider was sent: nobody else can.
fn derived(browser: &str, state: &str, purpose: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, browser.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, format!("{purpose}\n{state}").as_bytes()))
}

/// A place in the console, or its start for whatever else: neither another site's, nor a route of ours.
pub(super) fn place_of(asked: Option<&str>) -> &str {
    let is_place = |place: &&str| {
        place.len() <= RETURN_TO_MAX
            && place.starts_with('/')
            // What browsers take for the start of a host.
            && !place.starts_with("//")
            && !place.contains('\\')
            // Browsers leave tabs and line ends out of an address.
            && place.bytes().all(|byte| byte.is_ascii_graphic())
            && place != &"/v1"
            && !place.starts_with("/v1/")
    };
    asked.filter(is_place).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_returns_to_places_of_the_console_alone() {
        for place in ["/", "/live?vehicle=car-1#x", "/trips/trp_1", "/a//b", "/v1x"] {
            assert_eq!(place_of(Some(place)), place);
        }
        for bad in [
            "",
            "live",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/v1/sign-in/start",
            "/v1",
            "/\u{e5}",
            &format!("/{}", "x".repeat(RETURN_TO_MAX)),
        ] {
            assert_eq!(place_of(Some(bad)), "/", "{bad:?}");
        }
        assert_eq!(place_of(None), "/");
    }

    #[test]
    fn what_is_derived_is_of_both_and_of_its_purpose() {
        let one = derived("b", "s", "pkce");
        assert_eq!(one, derived("b", "s", "pkce"));
        // RFC 7636, 4.1: 43 to 128 characters.
        assert_eq!(one.len(), 43);
        for other in [derived("c", "s", "pkce"), derived("b", "t", "pkce"), derived("b", "s", "nonce")] {
            assert_ne!(one, other);
        }
    }
}
