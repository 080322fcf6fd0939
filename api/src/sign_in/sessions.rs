//! Who is signed in: from the cookie of a request to its caller, and the end of it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use wire::time::Timestamp;

use super::{
    SignIn, accounts, hash_of, random,
    seal::Tokens,
    store::{self, Whose},
    types::{Session, SessionQuery, SessionShown},
};
use crate::{
    caller::{Caller, SignedIn},
    db::{Conn, Db},
    fault::DomainError,
    ids::SessionId,
    page::{Cursor, Page, limit_of},
    users::{
        keys,
        people::{self, User},
        role::Role,
    },
};

/// `last_seen_at` is exact to this: a request does not write each time.
const SEEN_EXACT_US: i64 = 60_000_000;
/// Sessions a person has at once; a new one ends the oldest.
const SESSIONS_MAX: i64 = 100;

/// Uses of sessions that are not in their rows yet: as those of keys, which `users/keys.rs` tells of.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<SessionId, Timestamp>>);

impl Seen {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, session: &Session, now: Timestamp) {
        if now.since_us(session.seen_at) >= SEEN_EXACT_US {
            let mut seen = self.lock();
            let at = seen.entry(session.id.clone()).or_insert(now);
            *at = (*at).max(now);
        }
    }

    fn of(&self, session: &Session) -> Timestamp {
        self.lock().get(&session.id).copied().unwrap_or(session.seen_at).max(session.seen_at)
    }

    pub(super) async fn store(&self, db: &Db) -> Result<(), DomainError> {
        let noted = self.lock().clone();
        if noted.is_empty() {
            return Ok(());
        }
        let mut tx = db.write().await?;
        for (id, at) in &noted {
            store::set_seen(&mut tx, id, *at).await?;
        }
        tx.commit().await?;
        self.lock().retain(|id, at| noted.get(id) != Some(at));
        Ok(())
    }
}

/// Why a cookie lets nobody in any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Signed out, too old, unused for long, or ended by an owner or the provider.
    Over,
    /// The person is no longer active.
    PersonInactive,
}

/// A session to make.
pub(super) struct NewSession<'a> {
    pub(super) user: &'a User,
    pub(super) subject: &'a str,
    pub(super) tokens: Tokens,
    pub(super) check_at: Timestamp,
    /// The session that the browser had before, which ends.
    pub(super) before: Option<&'a str>,
}

impl SignIn {
    /// Makes a session; the text of its cookie, which is kept nowhere.
    pub(super) async fn begin(
        &self,
        conn: &mut Conn,
        now: Timestamp,
        new: NewSession<'_>,
    ) -> Result<String, DomainError> {
        let (id, secret) = (SessionId::new(now), random()?);
        let check_at = new.tokens.refresh.is_some().then_some(new.check_at);
        let tokens = self.key.as_ref().map(|key| key.seal(&id, &new.tokens)).transpose()?;
        let session = Session {
            user_id: new.user.id.clone(),
            organization_id: new.user.organization_id.clone(),
            issuer: self.settings.issuer.clone(),
            subject: new.subject.to_owned(),
            created_at: now,
            seen_at: now,
            ends_at: Timestamp(now.0.saturating_add(self.settings.session_us)),
            check_at: check_at.filter(|_| tokens.is_some()),
            tokens,
            checking_until: None,
            id,
        };
        if let Some(before) = new.before {
            store::delete_by_secret(conn, &hash_of(before)).await?;
        }
        store::insert(conn, &session, &hash_of(&secret)).await?;
        store::keep_newest(conn, &session.user_id, SESSIONS_MAX).await?;
        Ok(secret)
    }

    fn has_ended(&self, session: &Session, now: Timestamp) -> bool {
        now >= session.ends_at
            || now.since_us(self.seen.of(session)) >= self.settings.idle_us
            || session.issuer != self.settings.issuer
    }

    /// When a session must have been seen last so that it goes on.
    pub(super) fn seen_after(&self, now: Timestamp) -> i64 {
        now.0.saturating_sub(self.settings.idle_us)
    }

    /// The person of a session that goes on, whom the provider was asked of where that was due.
    async fn let_in(
        &self,
        db: &Db,
        now: Timestamp,
        session: &Session,
    ) -> Result<Result<User, Ended>, DomainError> {
        if self.has_ended(session, now) {
            return Ok(Err(Ended::Over));
        }
        let person = {
            let mut conn = db.read().await?;
            accounts::person_of(&mut conn, session).await?
        };
        let Some(person) = person else { return Ok(Err(Ended::PersonInactive)) };
        if session.check_at.is_some_and(|at| now >= at) && self.is_ended_by_provider(session).await {
            return Ok(Err(Ended::Over));
        }
        self.seen.note(session, now);
        Ok(Ok(person))
    }

    /// Who a cookie lets in, if anybody.
    pub(crate) async fn caller_of(
        &self,
        db: &Db,
        now: Timestamp,
        cookie: &str,
    ) -> Result<Result<Caller, Ended>, DomainError> {
        let found = {
            let mut conn = db.read().await?;
            store::by_secret(&mut conn, &hash_of(cookie)).await?
        };
        let Some(session) = found else { return Ok(Err(Ended::Over)) };
        let person = self.let_in(db, now, &session).await?;
        let how = SignedIn::Session { id: session.id, ends_at: session.ends_at };
        Ok(person.map(|person| Caller::signed_in(&person, how)))
    }

    /// Whether a caller who was let in as a person still would be, as what they were.
    async fn is_still_let_in(&self, db: &Db, now: Timestamp, caller: &Caller) -> Result<bool, DomainError> {
        let person = match (caller.signed_in_as(), caller.user()) {
            (Some(SignedIn::Session { id, .. }), _) => {
                let session = {
                    let mut conn = db.read().await?;
                    store::by_id(&mut conn, id).await?
                };
                match session {
                    Some(session) => self.let_in(db, now, &session).await?.ok(),
                    None => None,
                }
            }
            (Some(SignedIn::Token { ends_at }), Some(user)) if now < *ends_at => {
                let mut conn = db.read().await?;
                accounts::active(&mut conn, user).await?
            }
            _ => None,
        };
        Ok(person.is_some_and(|person| person.role == caller.role()))
    }

    /// The tokens of a session, where they are kept and still open.
    pub(super) fn tokens_of(&self, session: &Session) -> Option<Tokens> {
        self.key.as_ref()?.open_sealed(&session.id, session.tokens.as_deref()?)
    }
}

/// Whether a caller who was let in still would be, by whatever they came.
pub(crate) async fn is_still_let_in(
    db: &Db,
    sign_in: Option<&SignIn>,
    (now, caller): (Timestamp, &Caller),
) -> Result<bool, DomainError> {
    match (caller.signed_in_as(), sign_in) {
        (None, _) => {
            let mut conn = db.read().await?;
            keys::is_still_let_in(&mut conn, now, caller).await
        }
        (Some(_), Some(sign_in)) => sign_in.is_still_let_in(db, now, caller).await,
        (Some(_), None) => Ok(false),
    }
}

/// Whether a caller sees more than their own sessions.
fn is_owner(caller: &Caller) -> bool {
    caller.refused_role(|role| role == Role::Owner).is_none()
}

/// Who is signed in: the caller's own sessions, or for an owner those of their organization, the newest first.
pub(super) async fn list(
    conn: &mut Conn,
    (now, seen_after): (Timestamp, i64),
    caller: &Caller,
    query: SessionQuery,
) -> Result<Page<SessionShown>, DomainError> {
    let limit = limit_of(query.limit)?;
    let before = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let organization = caller.narrowed(query.organization_id)?.unwrap_or_default();
    let user = match (is_owner(caller), caller.user()) {
        (true, _) => String::new(),
        (false, Some(user)) => user.to_string(),
        // A key that is no person's.
        (false, None) => return Ok(Page { data: Vec::new(), next_cursor: None }),
    };
    let whose = Whose { organization, user };
    let found = store::newest(conn, (now, seen_after), &whose, (&before, limit + 1)).await?;
    let page = Page::of(found, limit, |s| Cursor { key: String::new(), id: s.id.to_string() });
    let mut data = Vec::with_capacity(page.data.len());
    for session in page.data {
        let person = people::get(conn, &session.user_id).await?;
        data.push(shown(session, person, caller));
    }
    Ok(Page { data, next_cursor: page.next_cursor })
}

fn shown(session: Session, person: User, caller: &Caller) -> SessionShown {
    SessionShown {
        is_current: caller.session() == Some(&session.id),
        id: session.id,
        user_id: session.user_id,
        person_name: person.name,
        email: person.email,
        organization_id: session.organization_id,
        signed_in_at: session.created_at,
        last_seen_at: session.seen_at,
        ends_at: session.ends_at,
    }
}

/// The organization of a session.
pub(crate) async fn organization_of(
    conn: &mut Conn,
    id: &SessionId,
) -> Result<Option<crate::ids::OrganizationId>, DomainError> {
    let session = store::by_id(conn, id).await?;
    Ok(session.ok_or_else(|| DomainError::not_found("session", id.as_str()))?.organization_id)
}

/// Ends a session, in every process at once; what it was. Somebody else's is not there, but for an owner.
pub(super) async fn end(conn: &mut Conn, caller: &Caller, id: &SessionId) -> Result<Session, DomainError> {
    let session = store::by_id(conn, id).await?;
    let session = session.filter(|session| is_owner(caller) || caller.user() == Some(&session.user_id));
    let session = session.ok_or_else(|| DomainError::not_found("session", id.as_str()))?;
    store::delete(conn, id).await?;
    Ok(session)
}
