//! Asking the provider whether who is signed in still may be, by refreshing their tokens.
//!
//! It is done when a session is used after its access token has ended. A provider that rotates refresh tokens takes a second
//! use of one for theft and ends all of it; so one process at a time asks of a session (`checking_until`), others go on
//! meanwhile. And it is done by a task, not by the request, whose browser may hang up between the answer and the row that
//! keeps it.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use service::SharedClock;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use wire::time::Timestamp;

use super::{
    SignIn,
    claims::{self, Expected},
    provider::{Given, ProviderError},
    seal::Tokens,
    store,
    types::Session,
};
use crate::{db::Db, fault::DomainError, ids::SessionId, metrics, ticks::Ticks};

/// Sessions that wait to be checked.
pub(super) const QUEUE_LEN: usize = 256;
/// Sessions that are checked at once.
const AT_ONCE: usize = 32;
/// A request waits no longer for the answer, and goes on.
const WAIT_MAX: Duration = Duration::from_secs(12);
/// Longest time to ask, with whatever has to be asked before.
const ASKING_MAX: Duration = Duration::from_secs(30);
/// Who began to ask and has not said more by then has died.
const CHECKING_US: i64 = 90_000_000;
/// What was answered is lost where it cannot be stored, and with it the session.
const STORE_TRIES: u32 = 5;
const MINUTE_US: i64 = 60_000_000;
/// Times between two checks, whatever the access token says.
const CHECK_MIN_US: i64 = 5 * MINUTE_US;
const CHECK_MAX_US: i64 = 60 * MINUTE_US;
/// A provider that was away is asked again after this.
const AWAY_US: i64 = MINUTE_US;
/// Who signs out does not wait longer for the provider.
const SOON: Duration = Duration::from_secs(3);
/// Longest ID token that an address can take.
const HINT_MAX: usize = 4_096;
/// How often what has ended is forgotten.
const FORGET_EVERY_US: i64 = MINUTE_US;
/// A session that some process has seen last is not forgotten before that process has stored it.
const UNSTORED_US: i64 = 5 * MINUTE_US;

/// A session to check, and who waits for it: whether it has ended.
pub(crate) type Asked = (SessionId, oneshot::Sender<bool>);

impl SignIn {
    /// When to ask next: when the access token ends, within bounds.
    pub(super) fn next_check(&self, now: Timestamp, expires_in: Option<f64>) -> Timestamp {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a float that is too large becomes the largest number"
        )]
        let good_us = expires_in.map_or(CHECK_MAX_US, |seconds| (seconds * 1e6) as i64);
        Timestamp(now.0.saturating_add(good_us.clamp(CHECK_MIN_US, CHECK_MAX_US)))
    }

    /// Has the provider asked of a session, and waits a while for it.
    pub(super) async fn is_ended_by_provider(&self, session: &Session) -> bool {
        let (tell, told) = oneshot::channel();
        if self.checks.try_send((session.id.clone(), tell)).is_err() {
            return false;
        }
        matches!(tokio::time::timeout(WAIT_MAX, told).await, Ok(Ok(true)))
    }
}

/// Checks sessions, and forgets those that have ended.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) sign_in: Arc<SignIn>,
    pub(crate) db: Db,
    pub(crate) clock: SharedClock,
}

/// What became of a check.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    Ended,
    Away,
    /// Somebody else asks, or has asked.
    NotOurs,
}

impl Checker {
    /// Checks what is asked until stopped; what is under way then is brought to its end.
    pub(crate) async fn run(&self, mut asked: mpsc::Receiver<Asked>, stop: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some((id, tell)) = asked.recv(), if under_way.len() < AT_ONCE => {
                    under_way.push(self.answer(id, tell));
                }
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
            }
        }
        while under_way.next().await.is_some() {}
    }

    /// Stores when sessions were seen and forgets those that ended, until stopped. Beside the checks: a check under
    /// way may have the turn to write that this waits for.
    pub(crate) async fn keep_up(&self, mut ticks: Ticks) {
        let mut forgotten_us = None;
        while ticks.next().await {
            self.keep(&mut forgotten_us).await;
        }
        if let Err(error) = self.sign_in.seen.store(&self.db).await {
            tracing::debug!(error = %service::logs::chain(&error), "uses of sessions not stored");
        }
    }

    async fn keep(&self, forgotten_us: &mut Option<i64>) {
        if let Err(error) = self.sign_in.seen.store(&self.db).await {
            tracing::debug!(error = %service::logs::chain(&error), "uses of sessions not stored yet");
        }
        let at_us = self.clock.monotonic_us();
        if forgotten_us.is_some_and(|before| at_us - before < FORGET_EVERY_US) {
            return;
        }
        match self.forget().await {
            Ok(()) => *forgotten_us = Some(at_us),
            Err(error) => {
                tracing::debug!(error = %service::logs::chain(&error), "ended sessions not forgotten yet");
            }
        }
    }

    async fn forget(&self) -> Result<(), DomainError> {
        let now = Timestamp(self.clock.now_us());
        let times = (now, self.sign_in.seen_after(now));
        let (live, is_any_over) = {
            let mut conn = self.db.read().await?;
            store::standing(&mut conn, times).await?
        };
        metrics::sessions_kept(live);
        // Only then: an idle process does not write.
        if is_any_over {
            let mut tx = self.db.write().await?;
            store::forget(&mut tx, (now, times.1.saturating_sub(UNSTORED_US))).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn answer(&self, id: SessionId, tell: oneshot::Sender<bool>) {
        let outcome = match self.check(&id).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(session_id = %id, error = %service::logs::chain(&error), "session not checked, will try again");
                Outcome::Away
            }
        };
        match outcome {
            Outcome::Good => metrics::session_checked("good"),
            Outcome::Ended => metrics::session_checked("ended"),
            Outcome::Away => metrics::session_checked("away"),
            Outcome::NotOurs => {}
        }
        // Whoever hung up needs no answer.
        let _ = tell.send(outcome == Outcome::Ended);
    }

    async fn check(&self, id: &SessionId) -> Result<Outcome, DomainError> {
        let Some(session) = self.begin(id).await? else { return Ok(Outcome::NotOurs) };
        let Some(tokens) = self.sign_in.tokens_of(&session) else {
            tracing::warn!(session_id = %id, "what a session was sealed with is not the key of session_key_file");
            return self.end(id).await;
        };
        let Some(refresh) = &tokens.refresh else { return Ok(Outcome::NotOurs) };
        let asking = tokio::time::timeout(ASKING_MAX, self.sign_in.provider.refresh(refresh)).await;
        match asking {
            Ok(Ok(given)) => self.renewed(&session, (tokens, given)).await,
            Ok(Err(error)) if error.is_invalid_grant() => {
                tracing::info!(session_id = %id, error = %service::logs::chain(&error), "session ended by the provider");
                self.end(id).await
            }
            Ok(Err(error)) => {
                // A secret that was changed is the operator's to put right, and takes nobody's session meanwhile.
                tracing::warn!(error = %service::logs::chain(&error), "provider not asked of a session, will try again");
                self.later(&session).await
            }
            Err(_) => self.later(&session).await,
        }
    }

    /// Takes a session to ask of, unless somebody has it.
    async fn begin(&self, id: &SessionId) -> Result<Option<Session>, DomainError> {
        let now = Timestamp(self.clock.now_us());
        let mut tx = self.db.write().await?;
        let session = store::by_id(&mut tx, id).await?.filter(|session| {
            session.check_at.is_some_and(|at| now >= at)
                && session.checking_until.is_none_or(|until| now >= until)
        });
        if session.is_some() {
            store::set_checking(&mut tx, id, Timestamp(now.0.saturating_add(CHECKING_US))).await?;
        }
        tx.commit().await?;
        Ok(session)
    }

    async fn renewed(
        &self,
        session: &Session,
        (before, given): (Tokens, Given),
    ) -> Result<Outcome, DomainError> {
        let now = Timestamp(self.clock.now_us());
        if let Some(token) = &given.id_token
            && let Err(error) = self.is_of(session, token, now).await
        {
            tracing::error!(session_id = %session.id, error = %service::logs::chain(&error), "refreshed for somebody else");
            return self.end(&session.id).await;
        }
        let tokens =
            Tokens { refresh: given.refresh_token.or(before.refresh), id: given.id_token.or(before.id) };
        let check_at = self.sign_in.next_check(now, given.expires_in);
        let sealed = self.sign_in.key.as_ref().map(|key| key.seal(&session.id, &tokens)).transpose()?;
        let mut tries = 0;
        let is_there = loop {
            match self.store(&session.id, (sealed.clone(), Some(check_at))).await {
                Ok(is_there) => break is_there,
                Err(error) if tries + 1 == STORE_TRIES => return Err(error),
                Err(_) => tries += 1,
            }
        };
        if !is_there {
            // Signed out meanwhile: what came after that is given back too.
            self.sign_in.give_back(&tokens).await;
            return Ok(Outcome::Ended);
        }
        Ok(Outcome::Good)
    }

    async fn is_of(&self, session: &Session, token: &str, now: Timestamp) -> Result<(), ProviderError> {
        let token = match self.sign_in.provider.verified(token).await {
            Ok(token) => token,
            // Its keys cannot be had now: that it gave the tokens is enough.
            Err(ProviderError::Away { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let settings = &self.sign_in.settings;
        let expected = Expected { issuer: &settings.issuer, audience: &settings.client_id, now };
        let claims = claims::of_id_token(&token, expected)?;
        let is_same = claims.sub.as_deref() == Some(session.subject.as_str());
        if is_same { Ok(()) } else { Err(super::jwt::TokenError::Claim("sub").into()) }
    }

    async fn later(&self, session: &Session) -> Result<Outcome, DomainError> {
        let at = Timestamp(self.clock.now_us().saturating_add(AWAY_US));
        self.store(&session.id, (session.tokens.clone(), Some(at))).await?;
        Ok(Outcome::Away)
    }

    async fn store(
        &self,
        id: &SessionId,
        what: (Option<String>, Option<Timestamp>),
    ) -> Result<bool, DomainError> {
        let mut tx = self.db.write().await?;
        let is_there = store::set_checked(&mut tx, id, what).await?;
        tx.commit().await?;
        Ok(is_there)
    }

    async fn end(&self, id: &SessionId) -> Result<Outcome, DomainError> {
        let mut tx = self.db.write().await?;
        store::delete(&mut tx, id).await?;
        tx.commit().await?;
        Ok(Outcome::Ended)
    }
}

impl SignIn {
    /// Where a person signs out at the provider too, if it has such a place and says so soon.
    pub(super) async fn sign_out_url(&self, id_token: Option<String>) -> Option<String> {
        let found = tokio::time::timeout(SOON, self.provider.discovered()).await.ok()?.ok()?;
        let mut url = found.end_session.clone()?;
        let back = format!("{}/", self.settings.origin());
        url.query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("post_logout_redirect_uri", &back);
        if let Some(token) = id_token.filter(|token| token.len() <= HINT_MAX) {
            url.query_pairs_mut().append_pair("id_token_hint", &token);
        }
        Some(url.into())
    }

    /// Gives a refresh token back to the provider, if it answers soon: nobody is to wait for that.
    pub(super) async fn give_back(&self, tokens: &Tokens) {
        let Some(refresh) = &tokens.refresh else { return };
        match tokio::time::timeout(SOON, self.provider.revoke(refresh)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %service::logs::chain(&error), "refresh token not revoked at the provider");
            }
            Err(_) => tracing::warn!("refresh token not revoked: the provider does not answer"),
        }
    }
}
