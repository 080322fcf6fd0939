//! The list of revoked certificates (RFC 5280, 5), as it was signed last: in the database, so that every process of the
//! api gives the same bytes.
//!
//! It is made anew when one more certificate was revoked than it has, or half of its time is over. A certificate that
//! has ended stays on it for as long again as a list is good, so it is on one that was made after its end, as 3.3 asks.

mod store;

use wire::time::Timestamp;

use super::{authority::Authority, certificates};
use crate::{
    db::{Conn, Db},
    fault::DomainError,
};

/// A list as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedList {
    number: i64,
    revoked_count: i64,
    made_at: Timestamp,
    /// Until when it is good.
    pub(crate) next_update_at: Timestamp,
    /// Its DER.
    pub(crate) der: Vec<u8>,
}

impl SignedList {
    fn is_old(&self, now: Timestamp, revoked_count: i64) -> bool {
        let half_us = self.next_update_at.since_us(self.made_at) / 2;
        // A clock that was set back makes no list older than its number.
        self.revoked_count != revoked_count || now.since_us(self.made_at) >= half_us
    }

    /// In PEM.
    pub(crate) fn pem(&self) -> String {
        super::authority::pem_of("X509 CRL", &self.der)
    }
}

/// The list that holds now; made if it must be.
pub(crate) async fn current(
    db: &Db,
    (authority, valid_us): (&Authority, i64),
    now: Timestamp,
) -> Result<SignedList, DomainError> {
    {
        let mut conn = db.read().await?;
        if let Some(list) = fresh(&mut conn, authority, now).await? {
            return Ok(list);
        }
    }
    let mut tx = db.write().await?;
    // Another process may have made it while this one waited for its turn.
    if let Some(list) = fresh(&mut tx, authority, now).await? {
        return Ok(list);
    }
    let list = make(&mut tx, (authority, valid_us), now).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(list)
}

async fn fresh(
    conn: &mut Conn,
    authority: &Authority,
    now: Timestamp,
) -> Result<Option<SignedList>, DomainError> {
    let Some(list) = store::by_authority(conn, authority.key_hash()).await? else { return Ok(None) };
    let revoked_count = certificates::store::revoked_count(conn, authority.key_hash()).await?;
    Ok((!list.is_old(now, revoked_count)).then_some(list))
}

async fn make(
    conn: &mut Conn,
    (authority, valid_us): (&Authority, i64),
    now: Timestamp,
) -> Result<SignedList, DomainError> {
    let before = store::by_authority(conn, authority.key_hash()).await?;
    let number = before.map_or(0, |list| list.number) + 1;
    let revoked_count = certificates::store::revoked_count(conn, authority.key_hash()).await?;
    let ends_after = now.plus_us(-valid_us);
    let revoked = certificates::store::revoked(conn, (authority.key_hash(), ends_after)).await?;
    let der = authority.sign_list((u64::try_from(number).unwrap_or(1), &revoked), (now, valid_us))?;
    // As it is in the list: whole seconds.
    let next_update_at = Timestamp(now.0 - now.0.rem_euclid(1_000_000)).plus_us(valid_us);
    let list = SignedList { number, revoked_count, made_at: now, next_update_at, der };
    store::put(conn, authority.key_hash(), &list).await?;
    Ok(list)
}
