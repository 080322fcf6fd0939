//! The cookies of signing in, and whether a request that comes with one was made by a page of ours.
//!
//! A browser sends the session's cookie with whatever request any site has it make. So what changes something must be
//! from a page of the console, by what the browser itself says of where it comes from: `Origin`, or where that is absent
//! `Sec-Fetch-Site`, neither of which a page can set.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::{config::OidcSettings, error::ApiError};

/// Longest value that is looked at: ours have 64 digits.
const VALUE_LEN: usize = 64;

/// Which cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// Who is signed in.
    Session,
    /// Which browser went to the provider.
    SignIn,
}

impl Cookie {
    /// With the prefix by which browsers see to it that no other host, and nobody on the way, has set it.
    fn name(self, settings: &OidcSettings) -> &'static str {
        match (self, settings.is_secure()) {
            (Self::Session, true) => "__Host-roadlake-session",
            (Self::Session, false) => "roadlake-session",
            (Self::SignIn, true) => "__Host-roadlake-sign-in",
            (Self::SignIn, false) => "roadlake-sign-in",
        }
    }

    /// What a request has of it, if that may be one of ours.
    pub(crate) fn of(self, settings: &OidcSettings, headers: &HeaderMap) -> Option<String> {
        let name = self.name(settings);
        let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(given, _)| *given == name)?;
        let is_ours = value.len() == VALUE_LEN && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_ours.then(|| value.to_owned())
    }

    /// The header that sets it: for so many seconds, or as long as the browser is open.
    pub(super) fn set(self, settings: &OidcSettings, value: &str, max_age_s: Option<i64>) -> HeaderValue {
        let secure = if settings.is_secure() { "; Secure" } else { "" };
        let age = max_age_s.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}", self.name(settings));
        // Of hexadecimal digits and names of ours.
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// The header that takes it away.
    pub(super) fn cleared(self, settings: &OidcSettings) -> HeaderValue {
        self.set(settings, "", Some(0))
    }
}

/// Refuses what another site had the browser send.
pub(crate) fn from_our_page(
    settings: &OidcSettings,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let is_ours = match text(header::ORIGIN) {
        Some(origin) => origin == settings.origin(),
        None => text(HeaderName::from_static("sec-fetch-site")) == Some("same-origin"),
    };
    if is_ours { Ok(()) } else { Err(ApiError::cross_site(&settings.origin())) }
}
