//! SQL on `sign_ins`, `user_identities` and `sessions`.

use sqlx::{Row, any::AnyRow};
use wire::time::Timestamp;

use super::types::Session;
use crate::{
    db::Conn,
    fault::DomainError,
    ids::{SessionId, UserId},
    rows::{optional, parsed},
};

/// Rows forgotten at a time, so that nobody waits long for a turn to write.
const FORGET_COUNT_MAX: i64 = 1_000;

/// Somebody goes to the provider.
pub(super) async fn insert_sign_in(
    conn: &mut Conn,
    (state_hash, browser_hash): (&str, &str),
    return_to: &str,
    ends_at: Timestamp,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO sign_ins (state_hash, browser_hash, return_to, ends_us) VALUES ($1, $2, $3, $4)",
    )
    .bind(state_hash.to_owned())
    .bind(browser_hash.to_owned())
    .bind(return_to.to_owned())
    .bind(ends_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn count_sign_ins(conn: &mut Conn) -> Result<i64, DomainError> {
    let row = sqlx::query("SELECT COUNT(*) AS count FROM sign_ins").fetch_one(conn).await?;
    Ok(row.try_get("count")?)
}

/// Takes the row of who is back, in the browser that went, in time: where they wanted to. It is for one use.
pub(super) async fn take_sign_in(
    conn: &mut Conn,
    now: Timestamp,
    (state_hash, browser_hash): (&str, &str),
) -> Result<Option<String>, DomainError> {
    let row = sqlx::query(
        "SELECT return_to FROM sign_ins WHERE state_hash = $1 AND browser_hash = $2 AND ends_us > $3",
    )
    .bind(state_hash.to_owned())
    .bind(browser_hash.to_owned())
    .bind(now.0)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    sqlx::query("DELETE FROM sign_ins WHERE state_hash = $1")
        .bind(state_hash.to_owned())
        .execute(conn)
        .await?;
    Ok(Some(row.try_get("return_to")?))
}

/// Whom the provider's person is here.
pub(super) async fn user_of(
    conn: &mut Conn,
    (issuer, subject): (&str, &str),
) -> Result<Option<UserId>, DomainError> {
    let row = sqlx::query("SELECT user_id FROM user_identities WHERE issuer = $1 AND subject = $2")
        .bind(issuer.to_owned())
        .bind(subject.to_owned())
        .fetch_optional(conn)
        .await?;
    row.map(|row| parsed(row.try_get("user_id")?, "user identity")).transpose()
}

pub(super) async fn link(
    conn: &mut Conn,
    now: Timestamp,
    (issuer, subject): (&str, &str),
    user: &UserId,
) -> Result<(), DomainError> {
    sqlx::query("INSERT INTO user_identities (issuer, subject, user_id, created_us) VALUES ($1, $2, $3, $4)")
        .bind(issuer.to_owned())
        .bind(subject.to_owned())
        .bind(user.to_string())
        .bind(now.0)
        .execute(conn)
        .await?;
    Ok(())
}

const COLUMNS: &str = "id, user_id, organization_id, issuer, subject, created_us, seen_us, ends_us, tokens, check_us, \
                       checking_until_us";

pub(super) async fn insert(conn: &mut Conn, session: &Session, secret_hash: &str) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO sessions (id, secret_hash, user_id, organization_id, issuer, subject, created_us, seen_us, ends_us, \
         tokens, check_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(session.id.to_string())
    .bind(secret_hash.to_owned())
    .bind(session.user_id.to_string())
    .bind(session.organization_id.as_ref().map(ToString::to_string))
    .bind(session.issuer.clone())
    .bind(session.subject.clone())
    .bind(session.created_at.0)
    .bind(session.seen_at.0)
    .bind(session.ends_at.0)
    .bind(session.tokens.clone())
    .bind(session.check_at.map(|at| at.0))
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn by_id(conn: &mut Conn, id: &SessionId) -> Result<Option<Session>, DomainError> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM sessions WHERE id = $1")))
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(session).transpose()
}

pub(super) async fn by_secret(conn: &mut Conn, secret_hash: &str) -> Result<Option<Session>, DomainError> {
    let row =
        sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM sessions WHERE secret_hash = $1")))
            .bind(secret_hash.to_owned())
            .fetch_optional(conn)
            .await?;
    row.as_ref().map(session).transpose()
}

/// Which sessions: of an organization, of a person, or all where neither is named.
#[derive(Debug, Default)]
pub(super) struct Whose {
    pub(super) organization: String,
    pub(super) user: String,
}

/// Those that have neither ended nor been idle since `seen_after`, the newest first, before an id.
pub(super) async fn newest(
    conn: &mut Conn,
    (now, seen_after): (Timestamp, i64),
    whose: &Whose,
    (before, limit): (&str, i64),
) -> Result<Vec<Session>, DomainError> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM sessions WHERE ends_us > $1 AND seen_us > $2 AND ($3 = '' OR organization_id = $3) \
         AND ($4 = '' OR user_id = $4) AND ($5 = '' OR id < $5) ORDER BY id DESC LIMIT $6"
    )))
    .bind(now.0)
    .bind(seen_after)
    .bind(whose.organization.clone())
    .bind(whose.user.clone())
    .bind(before.to_owned())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(session).collect()
}

/// Whether it was there.
pub(super) async fn delete(conn: &mut Conn, id: &SessionId) -> Result<bool, DomainError> {
    let done = sqlx::query("DELETE FROM sessions WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(done.rows_affected() > 0)
}

/// Ends the session that a browser had before.
pub(super) async fn delete_by_secret(conn: &mut Conn, secret_hash: &str) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM sessions WHERE secret_hash = $1")
        .bind(secret_hash.to_owned())
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends the oldest sessions of a person, but for so many.
pub(super) async fn keep_newest(conn: &mut Conn, user: &UserId, count: i64) -> Result<(), DomainError> {
    sqlx::query(
        "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN \
         (SELECT id FROM sessions WHERE user_id = $1 ORDER BY id DESC LIMIT $2)",
    )
    .bind(user.to_string())
    .bind(count)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn set_seen(conn: &mut Conn, id: &SessionId, at: Timestamp) -> Result<(), DomainError> {
    sqlx::query("UPDATE sessions SET seen_us = $1 WHERE id = $2 AND seen_us < $1")
        .bind(at.0)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Somebody asks the provider of it, until then.
pub(super) async fn set_checking(
    conn: &mut Conn,
    id: &SessionId,
    until: Timestamp,
) -> Result<(), DomainError> {
    sqlx::query("UPDATE sessions SET checking_until_us = $1 WHERE id = $2")
        .bind(until.0)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Nobody asks any more: what is kept now, and when to ask again. Whether it was still there.
pub(super) async fn set_checked(
    conn: &mut Conn,
    id: &SessionId,
    (tokens, check_at): (Option<String>, Option<Timestamp>),
) -> Result<bool, DomainError> {
    let done =
        sqlx::query("UPDATE sessions SET tokens = $1, check_us = $2, checking_until_us = $3 WHERE id = $4")
            .bind(tokens)
            .bind(check_at.map(|at| at.0))
            .bind(None::<i64>)
            .bind(id.to_string())
            .execute(conn)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// How many are signed in, and whether anything has ended that is still there.
pub(super) async fn standing(
    conn: &mut Conn,
    (now, seen_after): (Timestamp, i64),
) -> Result<(i64, bool), DomainError> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM sessions WHERE ends_us > $1 AND seen_us > $2) AS live, \
         (SELECT COUNT(*) FROM sessions) + (SELECT COUNT(*) FROM sign_ins WHERE ends_us <= $1) AS kept",
    )
    .bind(now.0)
    .bind(seen_after)
    .fetch_one(conn)
    .await?;
    let (live, kept): (i64, i64) = (row.try_get("live")?, row.try_get("kept")?);
    Ok((live, kept > live))
}

/// Forgets those that have ended, and who never came back; how many at least.
pub(super) async fn forget(conn: &mut Conn, (now, seen_after): (Timestamp, i64)) -> Result<(), DomainError> {
    sqlx::query(
        "DELETE FROM sessions WHERE id IN \
         (SELECT id FROM sessions WHERE ends_us <= $1 OR seen_us <= $2 ORDER BY id LIMIT $3)",
    )
    .bind(now.0)
    .bind(seen_after)
    .bind(FORGET_COUNT_MAX)
    .execute(&mut *conn)
    .await?;
    forget_sign_ins(conn, now).await
}

pub(super) async fn forget_sign_ins(conn: &mut Conn, now: Timestamp) -> Result<(), DomainError> {
    sqlx::query(
        "DELETE FROM sign_ins WHERE state_hash IN \
         (SELECT state_hash FROM sign_ins WHERE ends_us <= $1 ORDER BY ends_us LIMIT $2)",
    )
    .bind(now.0)
    .bind(FORGET_COUNT_MAX)
    .execute(conn)
    .await?;
    Ok(())
}

fn session(row: &AnyRow) -> Result<Session, DomainError> {
    const WHAT: &str = "session";
    let time = |column: &str| Ok::<_, DomainError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp));
    Ok(Session {
        id: parsed(row.try_get("id")?, WHAT)?,
        user_id: parsed(row.try_get("user_id")?, WHAT)?,
        organization_id: optional(row, ("organization_id", WHAT))?,
        issuer: row.try_get("issuer")?,
        subject: row.try_get("subject")?,
        created_at: Timestamp(row.try_get("created_us")?),
        seen_at: Timestamp(row.try_get("seen_us")?),
        ends_at: Timestamp(row.try_get("ends_us")?),
        tokens: row.try_get("tokens")?,
        check_at: time("check_us")?,
        checking_until: time("checking_until_us")?,
    })
}
