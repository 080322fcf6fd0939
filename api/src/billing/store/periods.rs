//! SQL on `month_usage` and `trip_month_usage`: what trips take of a month's tiers.

use std::collections::BTreeMap;

use sqlx::Row;
use wire::time::Timestamp;

use crate::{
    billing::{periods::MonthKey, rating::MonthFigures, tariff::ComponentType},
    db::Conn,
    fault::DomainError,
    ids::TripId,
};

type Figures = BTreeMap<ComponentType, MonthFigures>;

fn read_figures(rows: &[sqlx::any::AnyRow]) -> Result<Figures, DomainError> {
    let read = |row: &sqlx::any::AnyRow| {
        let text: String = row.try_get("component")?;
        let component =
            ComponentType::of(&text).ok_or(DomainError::Stored { what: "month usage", id: text })?;
        let figures =
            MonthFigures { base: row.try_get("quantity")?, amount_minor: row.try_get("amount_minor")? };
        Ok((component, figures))
    };
    rows.iter().map(read).collect()
}

/// A month's whole quantities and charges, by component.
pub(in crate::billing) async fn month_figures(
    conn: &mut Conn,
    key: &MonthKey,
) -> Result<Figures, DomainError> {
    let rows = sqlx::query(
        "SELECT component, quantity, amount_minor FROM month_usage WHERE organization_id = $1 \
         AND period_start_us = $2 AND tariff_id = $3 AND tariff_version = $4",
    )
    .bind(key.organization_id.clone())
    .bind(key.period_start.0)
    .bind(key.tariff_id.clone())
    .bind(key.tariff_version)
    .fetch_all(conn)
    .await?;
    read_figures(&rows)
}

/// A trip's month, if it was rated before, and what it took of it.
pub(in crate::billing) async fn month_of_trip(
    conn: &mut Conn,
    id: &TripId,
) -> Result<(Option<Timestamp>, Figures), DomainError> {
    let rows = sqlx::query(
        "SELECT component, quantity, amount_minor, period_start_us FROM trip_month_usage WHERE trip_id = $1",
    )
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    let start = rows.first().map(|r| r.try_get("period_start_us")).transpose()?.map(Timestamp);
    Ok((start, read_figures(&rows)?))
}

/// Moves a month from figures to figures; refused when another writer moved it since.
pub(in crate::billing) async fn save_month(
    conn: &mut Conn,
    (key, component): (&MonthKey, ComponentType),
    (from, to): (MonthFigures, MonthFigures),
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO month_usage (organization_id, period_start_us, tariff_id, tariff_version, component, \
         quantity, amount_minor) VALUES ($1, $2, $3, $4, $5, 0, 0) \
         ON CONFLICT (organization_id, period_start_us, tariff_id, tariff_version, component) DO NOTHING",
    )
    .bind(key.organization_id.clone())
    .bind(key.period_start.0)
    .bind(key.tariff_id.clone())
    .bind(key.tariff_version)
    .bind(component.as_str())
    .execute(&mut *conn)
    .await?;
    let done = sqlx::query(
        "UPDATE month_usage SET quantity = $1, amount_minor = $2 WHERE organization_id = $3 \
         AND period_start_us = $4 AND tariff_id = $5 AND tariff_version = $6 AND component = $7 \
         AND quantity = $8 AND amount_minor = $9",
    )
    .bind(to.base)
    .bind(to.amount_minor)
    .bind(key.organization_id.clone())
    .bind(key.period_start.0)
    .bind(key.tariff_id.clone())
    .bind(key.tariff_version)
    .bind(component.as_str())
    .bind(from.base)
    .bind(from.amount_minor)
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    Err(DomainError::Conflict("another trip of the month was rated at the same moment; repeat".to_owned()))
}

pub(in crate::billing) async fn save_month_of_trip(
    conn: &mut Conn,
    (trip_id, component): (&TripId, ComponentType),
    (key, own): (&MonthKey, MonthFigures),
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO trip_month_usage (trip_id, component, period_start_us, quantity, amount_minor) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (trip_id, component) DO UPDATE SET \
         quantity = excluded.quantity, amount_minor = excluded.amount_minor",
    )
    .bind(trip_id.to_string())
    .bind(component.as_str())
    .bind(key.period_start.0)
    .bind(own.base)
    .bind(own.amount_minor)
    .execute(conn)
    .await?;
    Ok(())
}
