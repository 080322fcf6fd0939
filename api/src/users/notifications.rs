//! What people are told: written to an outbox in the transaction of what it tells of, delivered
//! afterwards through [`Notifier`], until it is there.
//!
//! A delivery may be tried again after it went well (the process may die before that is noted), so
//! a [`Notifier`] tells one id once. The one there is, [`InApp`], writes to the person's
//! notifications here. E-mail is a later step: another implementation of the same trait.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::time::Timestamp;

use super::store::notifications as store;
use crate::{
    caller::Caller,
    db::{Conn, Db},
    fault::DomainError,
    ids::{NotificationId, OrganizationId, UserId},
    page::{Cursor, Page, limit_of},
};

/// Notifications delivered at a look.
const DELIVER_COUNT_MAX: i64 = 100;

/// Something a person is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Notification {
    /// `ntf_…`, in the order of time.
    #[schema(value_type = String)]
    pub id: NotificationId,
    /// What it is about, such as `booking_confirmed`.
    #[schema(example = "booking_confirmed")]
    pub kind: String,
    /// The id of what it tells of.
    #[schema(example = "bkg_019ac1f0a5c07e6c8b1f3d6f0e1a2b3c")]
    pub subject_id: String,
    /// Whose.
    #[schema(value_type = String)]
    pub organization_id: OrganizationId,
    /// The person; null for the organization.
    #[schema(value_type = Option<String>)]
    pub user_id: Option<UserId>,
    /// For people.
    pub body: String,
    /// When it came to be told.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Which notifications to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NotificationQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// It could not be told; it will be tried again.
#[derive(Debug, thiserror::Error)]
#[error("notification not delivered")]
pub struct NotDelivered(#[from] DomainError);

/// Tells people. The same notification given twice is told once.
#[async_trait]
pub trait Notifier: Send + Sync + std::fmt::Debug {
    /// Tells one.
    async fn deliver(&self, notification: &Notification) -> Result<(), NotDelivered>;
}

/// Tells within the application: the notifications of `GET /v1/notifications`.
#[derive(Debug)]
pub struct InApp {
    /// Where they are kept.
    pub db: Db,
}

#[async_trait]
impl Notifier for InApp {
    async fn deliver(&self, notification: &Notification) -> Result<(), NotDelivered> {
        let telling = async {
            let mut tx = self.db.write().await?;
            store::insert_delivered(&mut tx, notification).await?;
            tx.commit().await?;
            Ok::<(), DomainError>(())
        };
        Ok(telling.await?)
    }
}

/// Writes a notification to the outbox, in the transaction of what it tells of.
pub(crate) async fn enqueue(conn: &mut Conn, notification: &Notification) -> Result<(), DomainError> {
    store::insert_outgoing(conn, notification).await
}

/// Delivers what waits in the outbox; returns how many. One that fails is told of and tried again at
/// the next look, and holds up no other.
pub async fn deliver_due(db: &Db, notifier: &dyn Notifier, now: Timestamp) -> Result<usize, DomainError> {
    let waiting = {
        let mut conn = db.read().await?;
        store::undelivered(&mut conn, DELIVER_COUNT_MAX).await?
    };
    let mut delivered = 0;
    for notification in waiting {
        if let Err(error) = notifier.deliver(&notification).await {
            let error = service::logs::chain(&error);
            tracing::warn!(%error, kind = notification.kind, "notification not delivered, will try again");
            continue;
        }
        let mut tx = db.write().await?;
        store::set_delivered(&mut tx, &notification.id, now).await?;
        tx.commit().await?;
        delivered += 1;
    }
    Ok(delivered)
}

/// Notifications, newest first: of the person whose key asks, or else of the organization.
pub async fn list(
    conn: &mut Conn,
    caller: &Caller,
    query: NotificationQuery,
) -> Result<Page<Notification>, DomainError> {
    let limit = limit_of(query.limit)?;
    let before = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let organization = caller.narrowed(query.organization_id)?.unwrap_or_default();
    let user = caller.user().map(ToString::to_string).unwrap_or_default();
    let found = store::delivered_before(conn, (&organization, &user), (&before, limit + 1)).await?;
    Ok(Page::of(found, limit, |n| Cursor { key: String::new(), id: n.id.to_string() }))
}
