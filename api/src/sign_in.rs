//! Signing in at the company's own identity provider (OpenID Connect), beside API keys.
//!
//! *Owns* the tables `sign_ins`, `user_identities` and `sessions`. *Does not own* people and their roles (`users`), which
//! it finds and, where the configuration says so, adds; nor who may what (`permissions.rs`).
//!
//! Main path: `flow.rs` sends a browser to the provider and takes it back, by the code flow with PKCE; `provider.rs` asks
//! the provider, `jwt.rs` and `claims.rs` believe its tokens or not; `accounts.rs` finds whom they are of;
//! `sessions.rs` keeps who is signed in; `checks.rs` asks the provider whether they still may be, one at a time for a
//! session, over processes too; `bearer.rs` takes its access tokens from programs.
//!
//! What the provider gives never reaches the browser, which has 256 random bits in a cookie.
//!
//! Bounds: 10,000 people on their way to the provider, each 10 minutes; 100 sessions a person, of which the oldest ends;
//! 32 sessions are checked at once and 256 wait (the rest *go on unchecked* until their next request).

mod accounts;
pub(crate) mod bearer;
pub(crate) mod checks;
mod claims;
pub(crate) mod cookies;
mod flow;
pub(crate) mod http;
mod jwk;
pub(crate) mod jwt;
mod provider;
mod seal;
pub(crate) mod sessions;
mod store;
#[cfg(test)]
mod tests;
mod types;

use std::{path::PathBuf, sync::Arc};

use ring::rand::{SecureRandom, SystemRandom};
use service::SharedClock;
use tokio::sync::mpsc;

use crate::{config::OidcSettings, fault::DomainError, text::hex};
use checks::Asked;
use provider::Provider;
use sessions::Seen;

pub(crate) use seal::{KeyFileError, SessionKey};

/// What signing in is done with.
#[derive(Debug)]
pub(crate) struct SignIn {
    pub(crate) settings: Arc<OidcSettings>,
    provider: Provider,
    key: Option<SessionKey>,
    seen: Seen,
    checks: mpsc::Sender<Asked>,
}

/// Why signing in cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No client for the provider.
    #[error("cannot make a client for the identity provider; check the machine's root certificates")]
    Client(#[from] reqwest::Error),
    /// No key for sessions.
    #[error("cannot have the key of oidc.session_key_file")]
    Key(#[from] KeyFileError),
}

impl SignIn {
    /// Ready; and what it wants to have checked.
    pub(crate) fn new(
        settings: OidcSettings,
        clock: SharedClock,
    ) -> Result<(Arc<Self>, mpsc::Receiver<Asked>), SignInError> {
        let settings = Arc::new(settings);
        let key = settings.session_key_file.as_ref().map(|path: &PathBuf| SessionKey::open_or_make(path));
        let (checks, asked) = mpsc::channel(checks::QUEUE_LEN);
        let provider = Provider::new(Arc::clone(&settings), clock)?;
        Ok((
            Arc::new(Self { settings, provider, key: key.transpose()?, seen: Seen::default(), checks }),
            asked,
        ))
    }
}

/// 256 random bits, as text.
fn random() -> Result<String, DomainError> {
    let mut bytes = [0_u8; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| DomainError::Key)?;
    Ok(hex(&bytes))
}

/// What is stored of such a text.
fn hash_of(text: &str) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
}
