//! An answer of the provider's, read to its bounds, or why there is none.

use reqwest::{RequestBuilder, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};

use crate::sign_in::jwt::TokenError;

/// Largest answer.
const BYTES_MAX: usize = 1 << 20;
/// Of what it says in a refusal so much is told.
const TOLD_MAX: usize = 200;

/// Why the provider was asked in vain.
#[derive(Debug, thiserror::Error)]
pub(in crate::sign_in) enum ProviderError {
    /// It does not answer, or not now.
    #[error("the provider does not answer ({what})")]
    Away {
        /// What was asked.
        what: &'static str,
        /// Why.
        source: Option<reqwest::Error>,
    },
    /// It answers something else.
    #[error("the provider's answer is not as it must be ({what}): {why}")]
    Answer {
        /// What was asked.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// It refuses (RFC 6749, 5.2).
    #[error("the provider refuses ({what}): {code}{description}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// Its name for it.
        code: String,
        /// What else it says.
        description: String,
    },
    /// It gave a token that is not to be believed.
    #[error("its token is not believed")]
    Token(#[from] TokenError),
}

#[derive(Debug, Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

impl ProviderError {
    /// A semaphore of ours that was closed, which none is.
    pub(super) fn closed() -> Self {
        Self::Away { what: "wait", source: None }
    }

    /// Whether the person is no longer whom it was: what was granted has ended.
    pub(in crate::sign_in) fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "invalid_grant")
    }
}

/// Asks, and reads JSON.
pub(in crate::sign_in) async fn read<T: DeserializeOwned>(
    what: &'static str,
    request: RequestBuilder,
) -> Result<T, ProviderError> {
    let bytes = asked(what, request.header("accept", "application/json")).await?;
    // What it sent is not told: it may hold tokens.
    serde_json::from_slice(&bytes).map_err(|error| ProviderError::Answer {
        what,
        why: format!("no such JSON, at column {}", error.column()),
    })
}

/// Asks for something that has no answer but that it is done.
pub(super) async fn done(what: &'static str, request: RequestBuilder) -> Result<(), ProviderError> {
    asked(what, request).await.map(|_| ())
}

async fn asked(what: &'static str, request: RequestBuilder) -> Result<Vec<u8>, ProviderError> {
    // Without the address: a query might hold what is secret.
    let away = |error: reqwest::Error| ProviderError::Away { what, source: Some(error.without_url()) };
    let mut answer = request.send().await.map_err(away)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(away)? {
        if bytes.len() + chunk.len() > BYTES_MAX {
            return Err(ProviderError::Answer { what, why: format!("over {BYTES_MAX} bytes") });
        }
        bytes.extend_from_slice(&chunk);
    }
    let status = answer.status();
    if status.is_success() {
        return Ok(bytes);
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(ProviderError::Away { what, source: None });
    }
    match serde_json::from_slice::<Refusal>(&bytes) {
        Ok(refusal) => Err(ProviderError::Refused {
            what,
            code: told(&refusal.error),
            description: refusal
                .error_description
                .map(|text| format!(", {}", told(&text)))
                .unwrap_or_default(),
        }),
        Err(_) => Err(ProviderError::Answer { what, why: format!("status {}", status.as_u16()) }),
    }
}

fn told(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TOLD_MAX).collect()
}
