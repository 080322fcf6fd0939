//! SQL on `certificates`.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use wire::time::{DAY_US, Timestamp};

use super::{
    Stored,
    types::{CertificateStatus, RevocationReason},
};
use crate::{
    db::Conn,
    devices::{authority::Revoked, types::CertificateShort},
    fault::DomainError,
    ids::{CertificateId, DeviceId},
    rows::{optional, parsed},
};

const WHAT: &str = "certificate";
const CERTIFICATE: &str = "SELECT id, organization_id, device_id, vehicle_id, common_name, authority, key_hash, \
                           serial, fingerprint_sha256, not_before_us, not_after_us, issued_by, replaced_by_id, \
                           revoked_us, revocation_reason, pem, version, created_us FROM certificates";
/// Of one that nobody revoked and that has not ended at `$1`.
const IS_ACTIVE: &str = "revoked_us IS NULL AND not_after_us >= $1";
/// SQLite takes 32,766.
const PARAMETERS_OF_STATEMENT: usize = 500;

pub(in crate::devices) async fn insert(conn: &mut Conn, stored: &Stored) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO certificates (id, organization_id, device_id, vehicle_id, common_name, authority, key_hash, \
         serial, fingerprint_sha256, not_before_us, not_after_us, issued_by, replaced_by_id, revoked_us, \
         revocation_reason, pem, version, created_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(stored.id.to_string())
    .bind(stored.organization_id.as_ref().map(ToString::to_string))
    .bind(stored.device_id.to_string())
    .bind(stored.vehicle_id.to_string())
    .bind(stored.common_name.to_string())
    .bind(stored.authority.clone())
    .bind(stored.key_hash.clone())
    .bind(stored.serial.clone())
    .bind(stored.fingerprint_sha256.clone())
    .bind(stored.not_before.0)
    .bind(stored.not_after.0)
    .bind(stored.issued_by.as_str())
    .bind(stored.replaced_by_id.as_ref().map(ToString::to_string))
    .bind(stored.revoked.map(|(at, _)| at.0))
    .bind(stored.revoked.map(|(_, reason)| reason.as_str().to_owned()))
    .bind(stored.pem.clone())
    .bind(stored.version)
    .bind(stored.created_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything of it that ever changes.
pub(in crate::devices) async fn update(conn: &mut Conn, stored: &Stored) -> Result<(), DomainError> {
    sqlx::query(
        "UPDATE certificates SET replaced_by_id = $1, revoked_us = $2, revocation_reason = $3, version = $4 \
         WHERE id = $5",
    )
    .bind(stored.replaced_by_id.as_ref().map(ToString::to_string))
    .bind(stored.revoked.map(|(at, _)| at.0))
    .bind(stored.revoked.map(|(_, reason)| reason.as_str().to_owned()))
    .bind(stored.version)
    .bind(stored.id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Only to make them anew.
pub(in crate::devices) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM certificates").execute(conn).await?;
    Ok(())
}

pub(in crate::devices) async fn by_id(
    conn: &mut Conn,
    id: &CertificateId,
) -> Result<Option<Stored>, DomainError> {
    one(conn, "id", id.to_string()).await
}

pub(in crate::devices) async fn by_serial(
    conn: &mut Conn,
    serial: &str,
) -> Result<Option<Stored>, DomainError> {
    one(conn, "serial", serial.to_owned()).await
}

async fn one(conn: &mut Conn, column: &str, value: String) -> Result<Option<Stored>, DomainError> {
    let query = format!("{CERTIFICATE} WHERE {column} = $1");
    let row = sqlx::query(AssertSqlSafe(query)).bind(value).fetch_optional(conn).await?;
    row.as_ref().map(stored).transpose()
}

/// Those of a device that nobody has revoked, newest first.
pub(in crate::devices) async fn unrevoked(
    conn: &mut Conn,
    device_id: &DeviceId,
) -> Result<Vec<Stored>, DomainError> {
    let query = format!("{CERTIFICATE} WHERE device_id = $1 AND revoked_us IS NULL ORDER BY id DESC");
    let rows = sqlx::query(AssertSqlSafe(query)).bind(device_id.to_string()).fetch_all(conn).await?;
    rows.iter().map(stored).collect()
}

/// The newest good one of each of these devices that has one.
pub(in crate::devices) async fn newest_active(
    conn: &mut Conn,
    now: Timestamp,
    devices: &[DeviceId],
) -> Result<HashMap<DeviceId, CertificateShort>, DomainError> {
    let mut found = HashMap::new();
    for some in devices.chunks(PARAMETERS_OF_STATEMENT) {
        let places: Vec<String> = (2..some.len() + 2).map(|place| format!("${place}")).collect();
        let query = format!(
            "SELECT id, device_id, serial, not_after_us FROM certificates WHERE {IS_ACTIVE} AND device_id IN ({}) \
             ORDER BY CASE WHEN replaced_by_id IS NULL THEN 1 ELSE 0 END, created_us, id",
            places.join(", ")
        );
        let select = sqlx::query(AssertSqlSafe(query)).bind(now.0);
        let select = some.iter().fold(select, |select, id| select.bind(id.to_string()));
        for row in &select.fetch_all(&mut *conn).await? {
            let short = CertificateShort {
                id: parsed(row.try_get("id")?, WHAT)?,
                serial: row.try_get("serial")?,
                not_after: Timestamp(row.try_get("not_after_us")?),
            };
            // The last stays.
            found.insert(parsed(row.try_get("device_id")?, WHAT)?, short);
        }
    }
    Ok(found)
}

/// Which certificates are listed; what is empty narrows nothing.
pub(in crate::devices) struct Wanted {
    pub(super) organization: String,
    pub(super) device: String,
    pub(super) status: Option<CertificateStatus>,
    pub(super) expires_before: Timestamp,
}

/// Certificates, newest first, before an id.
pub(in crate::devices) async fn before(
    conn: &mut Conn,
    (now, wanted): (Timestamp, &Wanted),
    (id, limit): (&str, i64),
) -> Result<Vec<Stored>, DomainError> {
    let query = format!(
        "{CERTIFICATE} WHERE ($2 = '' OR organization_id = $2) AND ($3 = '' OR device_id = $3) \
         AND ($4 = '' OR ($4 = 'active' AND {IS_ACTIVE}) \
              OR ($4 = 'expired' AND revoked_us IS NULL AND not_after_us < $1) \
              OR ($4 = 'revoked' AND revoked_us IS NOT NULL)) \
         AND not_after_us < $5 AND ($6 = '' OR id < $6) ORDER BY id DESC LIMIT $7"
    );
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(now.0)
        .bind(wanted.organization.clone())
        .bind(wanted.device.clone())
        .bind(wanted.status.map(CertificateStatus::as_str).unwrap_or_default())
        .bind(wanted.expires_before.0)
        .bind(id.to_owned())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(stored).collect()
}

/// How many of an authority were ever revoked: what a list of it is old by.
pub(in crate::devices) async fn revoked_count(conn: &mut Conn, authority: &str) -> Result<i64, DomainError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS revoked FROM certificates WHERE authority = $1 AND revoked_us IS NOT NULL",
    )
    .bind(authority.to_owned())
    .fetch_one(conn)
    .await?;
    Ok(row.try_get("revoked")?)
}

/// Those of an authority that were revoked and end after a time, in the order of their revocation.
pub(in crate::devices) async fn revoked(
    conn: &mut Conn,
    (authority, ends_after): (&str, Timestamp),
) -> Result<Vec<Revoked>, DomainError> {
    let rows = sqlx::query(
        "SELECT serial, revoked_us, revocation_reason FROM certificates \
         WHERE authority = $1 AND revoked_us IS NOT NULL AND not_after_us > $2 ORDER BY revoked_us, serial",
    )
    .bind(authority.to_owned())
    .bind(ends_after.0)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Revoked {
                serial: row.try_get("serial")?,
                at: Timestamp(row.try_get("revoked_us")?),
                reason: parsed(row.try_get("revocation_reason")?, WHAT)?,
            })
        })
        .collect()
}

/// How many good ones have none after them and are in the last sixth of their time: half of that in which they should
/// have been renewed.
pub(in crate::devices) async fn expiring_count(conn: &mut Conn, now: Timestamp) -> Result<i64, DomainError> {
    // A sixth of the longest is within 67 days: so the index has them.
    let query = format!(
        "SELECT COUNT(*) AS expiring FROM certificates WHERE {IS_ACTIVE} AND not_after_us < $2 \
         AND not_after_us - (not_after_us - not_before_us) / 6 < $1 AND replaced_by_id IS NULL"
    );
    let row = sqlx::query(AssertSqlSafe(query)).bind(now.0).bind(now.0 + 67 * DAY_US).fetch_one(conn).await?;
    Ok(row.try_get("expiring")?)
}

/// How often a device has renewed since.
pub(in crate::devices) async fn renewed_count(
    conn: &mut Conn,
    device: &DeviceId,
    since: Timestamp,
) -> Result<i64, DomainError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS renewed FROM certificates \
         WHERE device_id = $1 AND created_us > $2 AND issued_by = 'renewal'",
    )
    .bind(device.to_string())
    .bind(since.0)
    .fetch_one(conn)
    .await?;
    Ok(row.try_get("renewed")?)
}

/// Whether a certificate was ever made out to a name.
pub(in crate::devices) async fn has_name(conn: &mut Conn, name: &str) -> Result<bool, DomainError> {
    let row = sqlx::query("SELECT 1 AS found FROM certificates WHERE common_name = $1 LIMIT 1")
        .bind(name.to_owned())
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

fn stored(row: &AnyRow) -> Result<Stored, DomainError> {
    let revoked_at = row.try_get::<Option<i64>, _>("revoked_us")?.map(Timestamp);
    let reason: Option<RevocationReason> = optional(row, ("revocation_reason", WHAT))?;
    Ok(Stored {
        id: parsed(row.try_get("id")?, WHAT)?,
        organization_id: optional(row, ("organization_id", WHAT))?,
        device_id: parsed(row.try_get("device_id")?, WHAT)?,
        vehicle_id: parsed(row.try_get("vehicle_id")?, WHAT)?,
        common_name: parsed(row.try_get("common_name")?, WHAT)?,
        authority: row.try_get("authority")?,
        key_hash: row.try_get("key_hash")?,
        serial: row.try_get("serial")?,
        fingerprint_sha256: row.try_get("fingerprint_sha256")?,
        not_before: Timestamp(row.try_get("not_before_us")?),
        not_after: Timestamp(row.try_get("not_after_us")?),
        issued_by: parsed(row.try_get("issued_by")?, WHAT)?,
        replaced_by_id: optional(row, ("replaced_by_id", WHAT))?,
        revoked: revoked_at.zip(reason),
        pem: row.try_get("pem")?,
        version: row.try_get("version")?,
        created_at: Timestamp(row.try_get("created_us")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{db::Db, devices::certificates::types::IssuedBy};

    const NOW: Timestamp = Timestamp(1_000 * DAY_US);

    /// One that began so many days ago, and is good for so many.
    fn of_days(id: &str, (began, good_for): (i64, i64)) -> Stored {
        let not_before = NOW.plus_us(-began * DAY_US);
        Stored {
            id: format!("crt_{id}").parse().unwrap(),
            organization_id: None,
            device_id: "dev_1".parse().unwrap(),
            vehicle_id: "veh_1".parse().unwrap(),
            common_name: "van-1".parse().unwrap(),
            authority: "own".to_owned(),
            key_hash: String::new(),
            serial: id.to_owned(),
            fingerprint_sha256: String::new(),
            not_before,
            not_after: not_before.plus_us(good_for * DAY_US),
            issued_by: IssuedBy::Renewal,
            replaced_by_id: None,
            revoked: None,
            pem: String::new(),
            version: 1,
            created_at: not_before,
        }
    }

    #[tokio::test]
    async fn what_should_have_been_renewed_is_counted_by_its_own_time() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path().join("api.db")).await.unwrap();
        let mut tx = db.write().await.unwrap();
        let reason = RevocationReason::Superseded;
        for stored in [
            of_days("late", (76, 90)),
            of_days("late-and-short", (6, 7)),
            of_days("late-and-long", (332, 397)),
            of_days("renews", (74, 90)),
            of_days("short", (5, 7)),
            of_days("ended", (91, 90)),
            Stored { replaced_by_id: Some("crt_x".parse().unwrap()), ..of_days("replaced", (76, 90)) },
            Stored { revoked: Some((NOW, reason)), ..of_days("revoked", (76, 90)) },
        ] {
            insert(&mut tx, &stored).await.unwrap();
        }
        assert_eq!(expiring_count(&mut tx, NOW).await.unwrap(), 3);
        // On a list of those that are revoked one stays until its end, and for as long again as is asked for.
        let ended = Stored { revoked: Some((NOW, reason)), ..of_days("revoked-and-ended", (91, 90)) };
        insert(&mut tx, &ended).await.unwrap();
        let on_list = revoked(&mut tx, ("own", NOW)).await.unwrap();
        assert_eq!(on_list.iter().map(|r| &*r.serial).collect::<Vec<_>>(), ["revoked"]);
        let on_list = revoked(&mut tx, ("own", NOW.plus_us(-2 * DAY_US))).await.unwrap();
        assert_eq!(on_list.iter().map(|r| &*r.serial).collect::<Vec<_>>(), ["revoked", "revoked-and-ended"]);
        assert_eq!(revoked_count(&mut tx, "own").await.unwrap(), 2);
        assert!(has_name(&mut tx, "van-1").await.unwrap() && !has_name(&mut tx, "van-2").await.unwrap());
    }
}
