//! The identity provider: where it is asked what (its discovery), its keys, its tokens.
//!
//! Nothing is asked at the start: a provider that is away keeps nobody out who has a key. What it publishes is kept for an
//! hour, and longer while it is away; its keys are asked for again when a token names one that is not there, at most every
//! half minute. One question of each kind is under way at a time; answers have 1 MiB at most and come within 10 s.

mod answer;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Client, RequestBuilder, redirect::Policy};
use serde::Deserialize;
use service::{SharedClock, clock::micros};
use tokio::sync::Semaphore;
use url::{Url, form_urlencoded};

use super::{
    claims::Claims,
    jwk::{Keys, Published},
    jwt::{TokenError, Unverified, Verified},
};
use crate::config::OidcSettings;
pub(super) use answer::{ProviderError, read};

/// Longest time to an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// What it publishes is asked for again after so long.
const FOUND_KEPT: Duration = Duration::from_secs(3600);
/// Keys are not asked for more often.
const KEYS_ASKED_EVERY: Duration = Duration::from_secs(30);
/// Who asks not to be asked again while nobody is there.
const OFFLINE_SCOPE: &str = "offline_access";

/// What it says of itself.
#[derive(Debug)]
pub(super) struct Discovered {
    pub(super) authorization: Url,
    token: Url,
    keys: Url,
    userinfo: Option<Url>,
    revocation: Option<Url>,
    pub(super) end_session: Option<Url>,
    /// What it knows of, where it tells.
    scopes: Option<Vec<String>>,
    /// Whether the client's secret goes into the form, not into a header.
    is_secret_posted: bool,
}

#[derive(Debug, Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    scopes_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// Tokens as they were given.
#[derive(Deserialize)]
pub(super) struct Given {
    pub(super) access_token: Option<String>,
    pub(super) id_token: Option<String>,
    pub(super) refresh_token: Option<String>,
    /// Seconds that the access token is good.
    pub(super) expires_in: Option<f64>,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Known {
    found: Option<(i64, Arc<Discovered>)>,
    keys: Option<Arc<Keys>>,
    keys_asked_us: Option<i64>,
}

/// The provider.
#[derive(Debug)]
pub(super) struct Provider {
    settings: Arc<OidcSettings>,
    client: Client,
    clock: SharedClock,
    known: Mutex<Known>,
    looking: Semaphore,
}

impl Provider {
    /// Ready to be asked; fails where TLS cannot be had.
    pub(super) fn new(settings: Arc<OidcSettings>, clock: SharedClock) -> Result<Self, reqwest::Error> {
        service::tls::use_ring();
        let mut client = Client::builder()
            .redirect(Policy::none())
            .timeout(ANSWER_MAX)
            .connect_timeout(CONNECT_MAX)
            .user_agent(concat!("Roadlake/", env!("CARGO_PKG_VERSION")));
        if settings.is_provider_here() {
            client = client.no_proxy();
        }
        if !settings.ca.is_empty() {
            client = client.tls_certs_merge(settings.ca.iter().cloned());
        }
        let client = client.build()?;
        Ok(Self { settings, client, clock, known: Mutex::default(), looking: Semaphore::new(1) })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it says of itself: of the last hour, or older when it is away.
    pub(super) async fn discovered(&self) -> Result<Arc<Discovered>, ProviderError> {
        if let Some(found) = self.fresh() {
            return Ok(found);
        }
        // Never closed.
        let _one = self.looking.acquire().await.map_err(|_| ProviderError::closed())?;
        if let Some(found) = self.fresh() {
            return Ok(found);
        }
        let now_us = self.clock.monotonic_us();
        match self.discover().await {
            Ok(found) => {
                let found = Arc::new(found);
                self.known().found = Some((now_us, Arc::clone(&found)));
                Ok(found)
            }
            Err(error) => match &mut self.known().found {
                Some((asked_us, found)) => {
                    tracing::warn!(error = %service::logs::chain(&error), "provider not asked anew, going on with what it said");
                    // Not at once again, which would keep everybody waiting.
                    *asked_us = now_us - micros(FOUND_KEPT) + micros(KEYS_ASKED_EVERY);
                    Ok(Arc::clone(found))
                }
                None => Err(error),
            },
        }
    }

    fn fresh(&self) -> Option<Arc<Discovered>> {
        let now_us = self.clock.monotonic_us();
        let known = self.known();
        let (asked_us, found) = known.found.as_ref()?;
        (now_us - asked_us < micros(FOUND_KEPT)).then(|| Arc::clone(found))
    }

    async fn discover(&self) -> Result<Discovered, ProviderError> {
        const WHAT: &str = "discovery";
        let issuer = &self.settings.issuer;
        let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document: Document = read(WHAT, self.client.get(place)).await?;
        if document.issuer != *issuer {
            let why = format!("it calls itself {:?}; write exactly that as oidc.issuer", document.issuer);
            return Err(ProviderError::Answer { what: WHAT, why });
        }
        let place = |name: &str, text: &str| {
            let url = Url::parse(text).ok().filter(|url| self.settings.may_be_asked(url));
            url.ok_or_else(|| ProviderError::Answer {
                what: WHAT,
                why: format!("its {name} {text:?} is no https URL"),
            })
        };
        let optional =
            |name: &str, text: &Option<String>| text.as_deref().map(|text| place(name, text)).transpose();
        let methods = document.token_endpoint_auth_methods_supported.unwrap_or_default();
        let has = |method: &str| methods.iter().any(|one| one == method);
        Ok(Discovered {
            authorization: place("authorization_endpoint", &document.authorization_endpoint)?,
            token: place("token_endpoint", &document.token_endpoint)?,
            keys: place("jwks_uri", &document.jwks_uri)?,
            userinfo: optional("userinfo_endpoint", &document.userinfo_endpoint)?,
            revocation: optional("revocation_endpoint", &document.revocation_endpoint)?,
            end_session: optional("end_session_endpoint", &document.end_session_endpoint)?,
            scopes: document.scopes_supported,
            is_secret_posted: has("client_secret_post") && !has("client_secret_basic"),
        })
    }

    /// What is asked for: a provider without refresh tokens by scope (Google) would refuse to be asked for one.
    pub(super) fn scopes(&self, found: &Discovered) -> String {
        let known = |scope: &&str| {
            *scope != OFFLINE_SCOPE
                || found.scopes.as_ref().is_none_or(|all| all.iter().any(|one| one == scope))
        };
        self.settings.scopes.split_whitespace().filter(known).collect::<Vec<_>>().join(" ")
    }

    /// Takes a code for tokens.
    pub(super) async fn exchange(&self, code: &str, verifier: &str) -> Result<Given, ProviderError> {
        let found = self.discovered().await?;
        let callback = self.settings.callback_url();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &callback),
            ("code_verifier", verifier),
        ];
        read("token", self.as_client(&found, &found.token, &form)).await
    }

    /// Takes a refresh token for new ones. It may be good for this once.
    pub(super) async fn refresh(&self, token: &str) -> Result<Given, ProviderError> {
        let found = self.discovered().await?;
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        read("token", self.as_client(&found, &found.token, &form)).await
    }

    /// Gives a refresh token back, where that can be done.
    pub(super) async fn revoke(&self, token: &str) -> Result<(), ProviderError> {
        let found = self.discovered().await?;
        let Some(place) = &found.revocation else { return Ok(()) };
        let form = [("token", token), ("token_type_hint", "refresh_token")];
        answer::done("revocation", self.as_client(&found, place, &form)).await
    }

    /// What it tells of who has an access token; none where it tells nothing.
    pub(super) async fn userinfo(&self, access_token: &str) -> Result<Option<Claims>, ProviderError> {
        let found = self.discovered().await?;
        let Some(place) = &found.userinfo else { return Ok(None) };
        read("userinfo", self.client.get(place.clone()).bearer_auth(access_token)).await.map(Some)
    }

    fn as_client(&self, found: &Discovered, place: &Url, form: &[(&str, &str)]) -> RequestBuilder {
        let (id, secret) = (&self.settings.client_id, self.settings.client_secret.as_ref());
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let mut request = self.client.post(place.clone());
        match secret {
            // As forms write it, each by itself (RFC 6749, 2.3.1).
            Some(secret) if !found.is_secret_posted => {
                let encoded =
                    |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let both = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret.expose())));
                request = request.header("authorization", format!("Basic {both}"));
            }
            Some(secret) => {
                body.append_pair("client_id", id).append_pair("client_secret", secret.expose());
            }
            None => {
                body.append_pair("client_id", id);
            }
        }
        request.header("content-type", "application/x-www-form-urlencoded").body(body.finish())
    }

    /// Verifies a token by its keys, asked for anew where that may help.
    pub(super) async fn verified(&self, text: &str) -> Result<Verified, ProviderError> {
        let seen = self.known().keys.clone();
        if let Some(keys) = &seen {
            match Unverified::read(text)?.verified(keys) {
                Err(TokenError::UnknownKey) => {}
                answer => return Ok(answer?),
            }
        } else {
            // Nobody is asked for what cannot be one.
            Unverified::read(text)?;
        }
        let keys = self.newer_keys(seen.as_ref()).await?;
        Ok(Unverified::read(text)?.verified(&keys)?)
    }

    /// Keys that are newer than those seen, unless they were asked for just now.
    async fn newer_keys(&self, seen: Option<&Arc<Keys>>) -> Result<Arc<Keys>, ProviderError> {
        let found = self.discovered().await?;
        let _one = self.looking.acquire().await.map_err(|_| ProviderError::closed())?;
        let now_us = self.clock.monotonic_us();
        {
            let mut known = self.known();
            if let Some(keys) = &known.keys {
                let is_newer = seen.is_none_or(|seen| !Arc::ptr_eq(seen, keys));
                if is_newer || known.keys_asked_us.is_some_and(|at| now_us - at < micros(KEYS_ASKED_EVERY)) {
                    return Ok(Arc::clone(keys));
                }
            }
            known.keys_asked_us = Some(now_us);
        }
        let published: Published = read("keys", self.client.get(found.keys.clone())).await?;
        let keys = Arc::new(Keys::of(published));
        self.known().keys = Some(Arc::clone(&keys));
        Ok(keys)
    }
}
