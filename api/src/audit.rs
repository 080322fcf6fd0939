//! The audit log: every write, by whom, when and with what result.
//!
//! *Owns* the table `audit_log`. *Does not own* who may do what (`permissions.rs`). A write's row is
//! of its own transaction: [`note`] adds it when `Db::write` begins one within a request, so nothing
//! is changed that is not told of. A request that changed nothing (refused, failed, answered again)
//! gets its row afterwards, from [`close`]; one that was busy or timed out (503) gets none.

use std::{
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use service::SharedClock;
use sqlx::{Row, any::AnyRow};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::time::Timestamp;

use crate::{
    app::App,
    caller::Caller,
    db::{Conn, Db, DbError},
    error::{ApiError, Problem},
    extract::ApiQuery,
    fault::DomainError,
    ids::{AuditId, DeviceId, OrganizationId},
    page::{Cursor, Page, limit_of},
    ticks::Ticks,
    users::people::User,
};

tokio::task_local! {
    static REQUEST: Arc<Write>;
}

/// A request that writes.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) id: AuditId,
    /// Who it is of; where no key is asked for, none before it has proven itself. There is no row of nobody.
    pub(crate) who: OnceLock<Who>,
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) path: String,
    pub(crate) request_id: String,
    pub(crate) at: Timestamp,
    /// Whether a transaction of it has its row.
    pub(crate) is_noted: AtomicBool,
    /// Why it was refused, where the status does not say so.
    pub(crate) refusal: OnceLock<&'static str>,
}

/// Who wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    organization: Option<OrganizationId>,
    actor: String,
    role: &'static str,
}

impl Who {
    /// Somebody with a key.
    pub(crate) fn caller(caller: &Caller) -> Self {
        Self {
            organization: caller.organization().cloned(),
            actor: caller.actor().to_owned(),
            role: caller.role().as_str(),
        }
    }

    /// A person who comes in.
    pub(crate) fn user(user: &User) -> Self {
        Self {
            organization: user.organization_id.clone(),
            actor: user.id.to_string(),
            role: user.role.as_str(),
        }
    }

    /// Somebody whom the identity provider knows, and nobody here.
    pub(crate) fn stranger() -> Self {
        Self { organization: None, actor: "stranger".to_owned(), role: "none" }
    }

    /// A vehicle's unit.
    pub(crate) fn device(id: &DeviceId, organization: Option<OrganizationId>) -> Self {
        Self { organization, actor: id.to_string(), role: "device" }
    }
}

/// Says who the request under way is of, which had no key to show.
pub(crate) fn proven(who: Who) {
    // Outside of a request there is nothing to say it of; whoever was said first stays.
    let _ = REQUEST.try_with(|write| write.who.set(who));
}

/// Says why the request under way is refused, where its status does not: it redirects.
pub(crate) fn refused(why: &'static str) {
    let _ = REQUEST.try_with(|write| write.refusal.set(why));
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// `aud_…`, in the order of time.
    #[schema(value_type = String)]
    pub(crate) id: AuditId,
    /// The organization of who did it; null for the operator.
    #[schema(value_type = Option<String>)]
    pub(crate) organization_id: Option<OrganizationId>,
    /// The id of the key or of who signed in, `operator` for the key of `api_key_file`, `local`, the id of a device, or
    /// `stranger` for who is known to the identity provider alone.
    pub(crate) actor: String,
    /// As what: a role, `device`, or `none`.
    pub(crate) role: String,
    /// The method.
    pub(crate) method: String,
    /// The route.
    pub(crate) route: String,
    /// The path, with the ids.
    pub(crate) path: String,
    /// `done`, `replayed` (answered again by its idempotency key), or `refused` or `failed` with
    /// the status, or of who signs in with the reason.
    pub(crate) result: String,
    /// The `X-Request-Id` of the request and its answer.
    pub(crate) request_id: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) at: Timestamp,
}

/// Which rows to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// Only of this organization's people and keys.
    organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Every write, newest first.
#[utoipa::path(get, path = "/v1/audit-log", tag = "users", params(AuditQuery),
    responses((status = 200, body = Page<AuditEntry>), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<AuditQuery>,
) -> Result<Json<Page<AuditEntry>>, ApiError> {
    let limit = limit_of(query.limit)?;
    let before = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id);
    let organization = caller.narrowed(query.organization_id)?.unwrap_or_default();
    let mut conn = app.db().read().await?;
    let found = newest(&mut conn, &organization, (before, limit + 1)).await?;
    Ok(Json(Page::of(found, limit, |e| Cursor { key: String::new(), id: e.id.to_string() })))
}

/// Runs what a request does; its transactions carry its row.
pub(crate) async fn within<F: Future>(write: Arc<Write>, doing: F) -> F::Output {
    REQUEST.scope(write, doing).await
}

/// Adds the row of the request that this transaction is of, if it is of one.
pub(crate) async fn note(conn: &mut Conn) -> Result<(), DbError> {
    let Ok(write) = REQUEST.try_with(Arc::clone) else { return Ok(()) };
    if write.who.get().is_none() {
        return Ok(());
    }
    write.is_noted.store(true, Ordering::SeqCst);
    insert(conn, &write, "done").await
}

/// Adds the row of a request whose transactions, if any, came to nothing.
pub(crate) async fn close(db: &Db, write: &Write, result: &str) {
    let closing = async {
        let mut tx = db.write().await?;
        insert(&mut tx, write, result).await?;
        Ok::<(), DbError>(tx.commit().await?)
    };
    if let Err(error) = closing.await {
        let error = service::logs::chain(&error);
        tracing::warn!(%error, request_id = write.request_id, result, "a refused write is not in the audit log");
    }
}

/// Rows forgotten at a time, so that nobody waits long for a turn to write.
const FORGET_COUNT_MAX: i64 = 1_000;

/// Forgets rows older than is kept, until stopped.
pub(crate) async fn forget(db: &Db, (clock, retention): (SharedClock, Duration), mut ticks: Ticks) {
    let retention_us = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
    while ticks.next().await {
        let before = clock.now_us().saturating_sub(retention_us);
        if let Err(error) = forget_before(db, before).await {
            tracing::warn!(error = %service::logs::chain(&error), "old audit entries not forgotten, will try again");
        }
    }
}

async fn forget_before(db: &Db, before_us: i64) -> Result<(), DbError> {
    loop {
        let oldest = {
            let mut conn = db.read().await?;
            let row = sqlx::query("SELECT MIN(created_us) AS oldest_us FROM audit_log")
                .fetch_one(&mut *conn)
                .await?;
            row.try_get::<Option<i64>, _>("oldest_us")?
        };
        // Only then: an idle process does not write.
        if oldest.is_none_or(|at| at >= before_us) {
            return Ok(());
        }
        let mut tx = db.write().await?;
        sqlx::query(
            "DELETE FROM audit_log WHERE id IN \
             (SELECT id FROM audit_log WHERE created_us < $1 ORDER BY created_us LIMIT $2)",
        )
        .bind(before_us)
        .bind(FORGET_COUNT_MAX)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
    }
}

async fn insert(conn: &mut Conn, write: &Write, result: &str) -> Result<(), DbError> {
    let Some(who) = write.who.get() else { return Ok(()) };
    sqlx::query(
        "INSERT INTO audit_log (id, organization_id, actor, role, method, route, path, result, request_id, \
         created_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING",
    )
    .bind(write.id.to_string())
    .bind(who.organization.as_ref().map(ToString::to_string))
    .bind(who.actor.clone())
    .bind(who.role)
    .bind(write.method)
    .bind(write.route)
    .bind(write.path.clone())
    .bind(result.to_owned())
    .bind(write.request_id.clone())
    .bind(write.at.0)
    .execute(conn)
    .await?;
    Ok(())
}

async fn newest(
    conn: &mut Conn,
    organization: &str,
    (before, limit): (Option<String>, i64),
) -> Result<Vec<AuditEntry>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, organization_id, actor, role, method, route, path, result, request_id, created_us \
         FROM audit_log WHERE ($1 = '' OR organization_id = $1) AND ($2 = '' OR id < $2) \
         ORDER BY id DESC LIMIT $3",
    )
    .bind(organization.to_owned())
    .bind(before.unwrap_or_default())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(entry).collect()
}

fn entry(row: &AnyRow) -> Result<AuditEntry, DomainError> {
    let id: String = row.try_get("id")?;
    let stored = || DomainError::Stored { what: "audit entry", id: id.clone() };
    let organization: Option<String> = row.try_get("organization_id")?;
    Ok(AuditEntry {
        id: id.parse().map_err(|_| stored())?,
        organization_id: organization.map(|o| o.parse()).transpose().map_err(|_| stored())?,
        actor: row.try_get("actor")?,
        role: row.try_get("role")?,
        method: row.try_get("method")?,
        route: row.try_get("route")?,
        path: row.try_get("path")?,
        result: row.try_get("result")?,
        request_id: row.try_get("request_id")?,
        at: Timestamp(row.try_get("created_us")?),
    })
}
