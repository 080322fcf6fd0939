//! Access tokens of the provider's, from programs (RFC 9068): `Authorization: Bearer` with a JWT of our audience.

use wire::time::Timestamp;

use super::{
    SignIn, accounts,
    claims::{self, Expected},
    jwt::TokenError,
    provider::ProviderError,
};
use crate::{
    caller::{Caller, SignedIn},
    db::Db,
    fault::DomainError,
};

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// It has expired.
    Expired,
    /// It is not believed, or of nobody here.
    Unknown,
    /// The provider's keys cannot be had, so nobody knows.
    ProviderAway,
}

impl SignIn {
    /// Who an access token lets in.
    pub(crate) async fn bearer(
        &self,
        db: &Db,
        now: Timestamp,
        text: &str,
    ) -> Result<Result<Caller, Rejected>, DomainError> {
        let Some(audience) = &self.settings.audience else { return Ok(Err(Rejected::Unknown)) };
        let issuer = &self.settings.issuer;
        let expected = Expected { issuer, audience, now };
        let verified = self.provider.verified(text).await;
        let claims = verified.and_then(|token| Ok(claims::of_access_token(&token, expected)?));
        let claims = match claims {
            Ok(claims) => claims,
            Err(error) => return Ok(Err(rejected(&error))),
        };
        let Some(identity) = claims.identity() else { return Ok(Err(Rejected::Unknown)) };
        let found = {
            let mut conn = db.read().await?;
            accounts::known(&mut conn, issuer, &identity).await?
        };
        let how = SignedIn::Token { ends_at: claims.ends_at() };
        Ok(found.map(|user| Caller::signed_in(&user, how)).map_err(|_| Rejected::Unknown))
    }
}

fn rejected(error: &ProviderError) -> Rejected {
    match error {
        ProviderError::Token(TokenError::Expired) => Rejected::Expired,
        ProviderError::Token(error) => {
            tracing::debug!(error = %service::logs::chain(error), "an access token is not believed");
            Rejected::Unknown
        }
        other => {
            tracing::warn!(error = %service::logs::chain(other), "an access token cannot be verified");
            Rejected::ProviderAway
        }
    }
}
