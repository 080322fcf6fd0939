//! API keys: how programs, and people's programs, come in. Each has a role of its own, in one
//! organization or of the operator.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::time::Timestamp;

use super::{
    check_organization,
    people::{self, MemberQuery, checked_name},
    role::Role,
    secret::{Hashing, KeyText},
    store,
};
use crate::{
    caller::Caller,
    db::{Conn, Db},
    events::{self, NewEvent},
    extract::id_of,
    fault::{DomainError, Faults},
    ids::{ApiKeyId, OrganizationId, UserId},
    page::{Cursor, Page, limit_of},
    ticks::Ticks,
};

/// `last_used_at` is exact to this: a request does not write each time.
const USED_EXACT_US: i64 = 60_000_000;

/// Uses of keys that are not in their rows yet. Requests note them here, a task stores them: to come in, nobody waits
/// for a turn to write. Bounded by the keys there are; one that was noted and not stored when a process dies is lost.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<HashMap<ApiKeyId, Timestamp>>);

impl Uses {
    fn note(&self, key: &ApiKey, now: Timestamp) {
        if key.last_used_at.is_none_or(|at| now.since_us(at) >= USED_EXACT_US) {
            self.lock().entry(key.id.clone()).or_insert(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ApiKeyId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores what was noted, until stopped; what cannot be is kept for the next time.
    pub(crate) async fn keep(&self, db: &Db, mut ticks: Ticks) {
        while ticks.next().await {
            self.store(db).await;
        }
        self.store(db).await;
    }

    async fn store(&self, db: &Db) {
        let noted = self.lock().clone();
        if noted.is_empty() {
            return;
        }
        match stored(db, &noted).await {
            Ok(()) => self.lock().retain(|id, at| noted.get(id) != Some(at)),
            Err(error) => {
                tracing::debug!(error = %service::logs::chain(&error), "uses of keys not stored yet")
            }
        }
    }
}

async fn stored(db: &Db, noted: &HashMap<ApiKeyId, Timestamp>) -> Result<(), DomainError> {
    let mut tx = db.write().await?;
    for (id, at) in noted {
        store::keys::set_used(&mut tx, id, *at).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ApiKey {
    /// `key_…`
    #[schema(value_type = String)]
    pub id: ApiKeyId,
    /// How its text begins after `rlk_`: by it a key in a file is known again.
    pub prefix: String,
    /// What it is for.
    pub name: String,
    /// Whose data it reaches; null for everybody's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// Whose key, if a person's: refused when they are no longer active.
    #[schema(value_type = Option<String>)]
    pub user_id: Option<UserId>,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// From when on it is refused.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
}

/// A new key, with its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NewKeySecret {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKey,
    /// The text to send as `Authorization: Bearer`. It is shown this once and kept nowhere.
    pub secret: String,
}

/// A key to make.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whose data it reaches; the caller's own organization when absent.
    #[serde(default)]
    pub organization_id: Option<String>,
    /// Whose key, of the same organization.
    #[serde(default)]
    pub user_id: Option<String>,
    /// From when on it is refused; never when absent.
    #[serde(default)]
    pub expires_at: Option<String>,
}

/// Makes a key. Its hash is computed before the transaction: it takes long.
pub(crate) async fn create(
    conn: &mut Conn,
    now: Timestamp,
    (caller, new): (&Caller, NewApiKey),
    (text, secret_hash): (&KeyText, &str),
) -> Result<NewKeySecret, DomainError> {
    let mut faults = Faults::default();
    let name = checked_name(&new.name, &mut faults);
    let organization = caller.placed("the key", new.organization_id)?;
    let organization_id = check_organization(conn, organization.as_deref(), &mut faults).await?;
    let expires_at = new.expires_at.as_deref().and_then(|text| faults.time("expires_at", text));
    faults.require(expires_at.is_none_or(|at| at > now), "expires_at", "must be in the future");
    faults.finish("the key")?;
    let user_id = match new.user_id.as_deref() {
        None => None,
        Some(id) => {
            let id: UserId = id_of("the key", "user_id", id)?;
            let user = match people::get(conn, &id).await {
                Ok(user) => Some(user).filter(|u| u.organization_id == organization_id && u.is_active),
                Err(DomainError::NotFound { .. }) => None,
                Err(error) => return Err(error),
            };
            let message = "there is no such active user in the key's organization; see /v1/users";
            Some(user.ok_or_else(|| DomainError::invalid("the key", "user_id", message))?.id)
        }
    };
    let key = ApiKey {
        id: ApiKeyId::new(now),
        prefix: text.prefix.clone(),
        name,
        organization_id,
        user_id,
        role: new.role,
        created_at: now,
        expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    note(conn, now, (0, "ApiKeyCreated"), &key).await?;
    store::keys::insert(conn, &key, secret_hash).await?;
    Ok(NewKeySecret { key, secret: text.expose() })
}

/// Revokes a key at once and for good; a second time changes nothing.
pub async fn revoke(conn: &mut Conn, now: Timestamp, id: &ApiKeyId) -> Result<ApiKey, DomainError> {
    let mut key = get(conn, id).await?;
    if key.revoked_at.is_none() {
        key.revoked_at = Some(now);
        note(conn, now, (1, "ApiKeyRevoked"), &key).await?;
        store::keys::set_revoked(conn, id, now).await?;
    }
    Ok(key)
}

async fn note(
    conn: &mut Conn,
    now: Timestamp,
    (version, event_type): (i64, &'static str),
    key: &ApiKey,
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: "api-key",
        aggregate_id: key.id.to_string(),
        event_type,
        data: serde_json::json!({ "organization_id": key.organization_id, "role": key.role }),
    };
    events::append(conn, now, version, event).await?;
    Ok(())
}

/// The key of an id.
pub async fn get(conn: &mut Conn, id: &ApiKeyId) -> Result<ApiKey, DomainError> {
    store::keys::by_id(conn, id).await?.ok_or_else(|| DomainError::not_found("API key", id.as_str()))
}

/// Keys, oldest first; revoked ones too.
pub async fn list(conn: &mut Conn, caller: &Caller, query: MemberQuery) -> Result<Page<ApiKey>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let organization = caller.narrowed(query.organization_id)?;
    let found = store::keys::after(conn, organization.as_deref(), (&after, limit + 1)).await?;
    Ok(Page::of(found, limit, |k| Cursor { key: String::new(), id: k.id.to_string() }))
}

/// Why a key lets nobody in any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Revoked(Timestamp),
    Expired(Timestamp),
    PersonInactive,
}

/// Who a key's text lets in, if anybody; whoever has the text of one that ended is told so, and
/// nobody else. What its row says counts at every request; only that the text belongs to the hash is
/// remembered.
pub(crate) async fn caller_of(
    db: &Db,
    (hashing, uses): (&Hashing, &Uses),
    (now, text): (Timestamp, &KeyText),
) -> Result<Result<Caller, Option<Ended>>, DomainError> {
    let found = {
        let mut conn = db.read().await?;
        store::keys::by_prefix(&mut conn, &text.prefix).await?
    };
    let Some(found) = found else { return Ok(Err(None)) };
    if !hashing.is_right(text, &found.secret_hash).await? {
        return Ok(Err(None));
    }
    if let Some(ended) = found.ended(now) {
        return Ok(Err(Some(ended)));
    }
    let key = found.key;
    uses.note(&key, now);
    let caller = Caller::of_key(key.id, (key.role, found.user_role), key.organization_id);
    Ok(Ok(caller.of_person(key.user_id)))
}

/// Whether a caller who was let in still would be: their key may have been revoked since.
pub(crate) async fn is_still_let_in(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
) -> Result<bool, DomainError> {
    // The operator's own key and whoever needs none are of the configuration.
    let Ok(id) = caller.actor().parse::<ApiKeyId>() else { return Ok(true) };
    let Some(key) = store::keys::by_id(conn, &id).await? else { return Ok(false) };
    let found = store::keys::by_prefix(conn, &key.prefix).await?;
    Ok(found.is_some_and(|found| found.ended(now).is_none()))
}
