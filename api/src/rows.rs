//! Reading rows: what does not read as what it should be is told with its text.

use std::str::FromStr;

use serde::de::DeserializeOwned;
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

use crate::{db::Conn, fault::DomainError, ids::OrganizationId};

/// The column `data`, which is JSON.
pub(crate) fn read_json<T: DeserializeOwned>(row: &AnyRow, what: &'static str) -> Result<T, DomainError> {
    let data: String = row.try_get("data")?;
    serde_json::from_str(&data).map_err(|_| DomainError::Stored { what, id: data.chars().take(60).collect() })
}

/// A text that is an id or the like.
pub(crate) fn parsed<T: FromStr>(text: String, what: &'static str) -> Result<T, DomainError> {
    text.parse().map_err(|_| DomainError::Stored { what, id: text })
}

/// A column of such a text, or of none.
pub(crate) fn optional<T: FromStr>(
    row: &AnyRow,
    (column, what): (&str, &'static str),
) -> Result<Option<T>, DomainError> {
    row.try_get::<Option<String>, _>(column)?.map(|text| parsed(text, what)).transpose()
}

/// How many rows of a table an organization has, or the operator.
pub(crate) async fn count_of(
    conn: &mut Conn,
    table: &'static str,
    organization: Option<&OrganizationId>,
) -> Result<i64, DomainError> {
    let query = format!("SELECT COUNT(*) AS count FROM {table} WHERE COALESCE(organization_id, '') = $1");
    let row = sqlx::query(AssertSqlSafe(query))
        .bind(organization.map(ToString::to_string).unwrap_or_default())
        .fetch_one(conn)
        .await?;
    Ok(row.try_get("count")?)
}
