//! SQL on the tables of billing: tariffs and usage here, the rest in `store/`, a file for each.

mod charges;
pub(super) mod dunning;
mod invoices;
mod notes;
mod payments;
mod periods;
pub(super) mod rebuild;
mod wallets;

use sqlx::Row;
use wire::{ids::VehicleId, time::Timestamp};

pub(super) use charges::{StoredCharge, charges_of, charges_of_invoice, insert_charge, supersede_charge};
pub(super) use invoices::{
    StoredLine, add_paid, clear_overdue, finalize, insert_invoice, insert_line, invoice, invoice_of_month,
    invoices_before, line, lines_of_invoice, lines_of_trip, next_number, number_text, set_due_again,
    set_invoice_version, set_overdue, set_uncollectible, supersede_line, void,
};
pub(super) use notes::{
    insert_note, insert_note_line, lines_of_note, next_note_number, note, note_lines_of_trip, notes_before,
    notes_of_invoice,
};

pub(super) use payments::{
    add_refunded, end_payment, end_refund, insert_payment, insert_refund, last_card_payment, open_payment,
    payment, payments_before, payments_left, pending_refunds, refunds_of,
};
pub(super) use periods::{month_figures, month_of_trip, save_month, save_month_of_trip};
pub(super) use wallets::{
    close_hold, entries_before, hold, holds_before, holds_due, insert_entry, insert_hold, insert_wallet,
    move_wallet, sum_of_entries, wallet, wallet_of, wallets_after,
};

use super::{Assignment, UsageState, tariff::Tariff};
use crate::{
    db::Conn,
    events::json_of,
    fault::DomainError,
    ids::{OrganizationId, TariffId, TripId},
    rows::{parsed, read_json},
    trips::types::Trip,
};

/// The one row of `billing_settled`.
const SETTLED: &str = "billing";

pub(super) async fn insert_tariff(conn: &mut Conn, tariff: &Tariff) -> Result<(), DomainError> {
    sqlx::query("UPDATE tariffs SET is_latest = 0 WHERE id = $1")
        .bind(tariff.id.to_string())
        .execute(&mut *conn)
        .await?;
    sqlx::query("INSERT INTO tariffs (id, version, name, is_latest, data) VALUES ($1, $2, $3, 1, $4)")
        .bind(tariff.id.to_string())
        .bind(tariff.version)
        .bind(tariff.terms.name.clone())
        .bind(json_of(tariff).to_string())
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn tariff(
    conn: &mut Conn,
    id: &TariffId,
    version: Option<i64>,
) -> Result<Option<Tariff>, DomainError> {
    let row = sqlx::query(
        "SELECT data FROM tariffs WHERE id = $1 AND (($2 = 0 AND is_latest = 1) OR version = $2)",
    )
    .bind(id.to_string())
    .bind(version.unwrap_or(0))
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(|r| read_json(r, "tariff")).transpose()
}

pub(super) async fn tariff_by_name(conn: &mut Conn, name: &str) -> Result<Option<Tariff>, DomainError> {
    let row = sqlx::query("SELECT data FROM tariffs WHERE name = $1 AND is_latest = 1")
        .bind(name.to_owned())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|r| read_json(r, "tariff")).transpose()
}

pub(super) async fn tariffs_after_name(
    conn: &mut Conn,
    name: &str,
    limit: i64,
) -> Result<Vec<Tariff>, DomainError> {
    let rows =
        sqlx::query("SELECT data FROM tariffs WHERE is_latest = 1 AND name > $1 ORDER BY name LIMIT $2")
            .bind(name.to_owned())
            .bind(limit)
            .fetch_all(conn)
            .await?;
    rows.iter().map(|r| read_json(r, "tariff")).collect()
}

pub(super) async fn tariff_of(conn: &mut Conn, id: &OrganizationId) -> Result<Option<TariffId>, DomainError> {
    let row = sqlx::query("SELECT tariff_id FROM tariff_assignments WHERE organization_id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(|r| parsed(r.try_get("tariff_id")?, "tariff assignment")).transpose()
}

pub(super) async fn assign_tariff(
    conn: &mut Conn,
    organization_id: &OrganizationId,
    tariff_id: &TariffId,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO tariff_assignments (organization_id, tariff_id) VALUES ($1, $2) \
         ON CONFLICT (organization_id) DO UPDATE SET tariff_id = excluded.tariff_id",
    )
    .bind(organization_id.to_string())
    .bind(tariff_id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Who pays for a trip, once that was chosen.
pub(super) async fn assignment(conn: &mut Conn, trip_id: &TripId) -> Result<Option<Assignment>, DomainError> {
    let row = sqlx::query(
        "SELECT organization_id, tariff_id, tariff_version FROM trip_usage \
         WHERE trip_id = $1 AND tariff_id IS NOT NULL",
    )
    .bind(trip_id.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        Ok(Assignment {
            organization_id: parsed(r.try_get("organization_id")?, "usage")?,
            tariff_id: parsed(r.try_get("tariff_id")?, "usage")?,
            tariff_version: r.try_get("tariff_version")?,
        })
    })
    .transpose()
}

pub(super) async fn save_usage(
    conn: &mut Conn,
    trip: &Trip,
    state: UsageState,
    assignment: Option<&Assignment>,
) -> Result<(), DomainError> {
    let state = match state {
        UsageState::Waiting => "waiting",
        UsageState::Rated => "rated",
        UsageState::Void => "void",
    };
    sqlx::query(
        "INSERT INTO trip_usage (trip_id, state, vehicle_id, organization_id, tariff_id, tariff_version, data, end_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (trip_id) DO UPDATE SET state = excluded.state, vehicle_id = excluded.vehicle_id, \
         organization_id = excluded.organization_id, tariff_id = excluded.tariff_id, \
         tariff_version = excluded.tariff_version, data = excluded.data, end_us = excluded.end_us",
    )
    .bind(trip.id.to_string())
    .bind(state)
    .bind(trip.vehicle_id.to_string())
    .bind(assignment.map(|a| a.organization_id.to_string()))
    .bind(assignment.map(|a| a.tariff_id.to_string()))
    .bind(assignment.map(|a| a.tariff_version))
    .bind(json_of(trip).to_string())
    .bind(trip.end_time.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// The latest revision of a trip, as billing was told of it.
pub(super) async fn usage_trip(conn: &mut Conn, trip_id: &TripId) -> Result<Option<Trip>, DomainError> {
    let row = sqlx::query("SELECT data FROM trip_usage WHERE trip_id = $1")
        .bind(trip_id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|r| read_json(r, "usage")).transpose()
}

/// Organizations that trips were rated for.
pub(super) async fn organizations_with_usage(
    conn: &mut Conn,
    limit: i64,
) -> Result<Vec<OrganizationId>, DomainError> {
    let rows = sqlx::query(
        "SELECT DISTINCT organization_id FROM trip_usage WHERE organization_id IS NOT NULL \
         ORDER BY organization_id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|r| parsed(r.try_get("organization_id")?, "usage")).collect()
}

/// Trips of an organization that may have ended in `[start, end)`, by id, after one.
pub(super) async fn rated_trips(
    conn: &mut Conn,
    (organization, (start, end)): (&OrganizationId, (Timestamp, Timestamp)),
    (after, limit): (&str, i64),
) -> Result<Vec<(Trip, Assignment)>, DomainError> {
    let rows = sqlx::query(
        "SELECT data, organization_id, tariff_id, tariff_version FROM trip_usage \
         WHERE organization_id = $1 AND tariff_id IS NOT NULL AND trip_id > $2 \
         AND (end_us IS NULL OR (end_us >= $3 AND end_us < $4)) ORDER BY trip_id LIMIT $5",
    )
    .bind(organization.to_string())
    .bind(after.to_owned())
    .bind(start.0)
    .bind(end.0)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let assignment = Assignment {
                organization_id: parsed(row.try_get("organization_id")?, "usage")?,
                tariff_id: parsed(row.try_get("tariff_id")?, "usage")?,
                tariff_version: row.try_get("tariff_version")?,
            };
            Ok((read_json(row, "usage")?, assignment))
        })
        .collect()
}

/// Vehicles with trips that wait.
pub(super) async fn waiting_vehicles(conn: &mut Conn) -> Result<Vec<VehicleId>, DomainError> {
    let rows =
        sqlx::query("SELECT DISTINCT vehicle_id FROM trip_usage WHERE state = 'waiting' ORDER BY vehicle_id")
            .fetch_all(conn)
            .await?;
    rows.iter().map(|r| parsed(r.try_get("vehicle_id")?, "usage")).collect()
}

/// The trips of a vehicle that wait.
pub(super) async fn waiting_trips(conn: &mut Conn, vehicle_id: &VehicleId) -> Result<Vec<Trip>, DomainError> {
    let rows = sqlx::query(
        "SELECT data FROM trip_usage WHERE state = 'waiting' AND vehicle_id = $1 ORDER BY trip_id",
    )
    .bind(vehicle_id.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|r| read_json(r, "usage")).collect()
}

pub(super) async fn settled_position(conn: &mut Conn) -> Result<i64, DomainError> {
    let row = sqlx::query("SELECT position FROM billing_settled WHERE name = $1")
        .bind(SETTLED)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|r| r.try_get("position")).transpose()?.unwrap_or(0))
}

pub(super) async fn settle(conn: &mut Conn, position: i64) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO billing_settled (name, position) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET position = excluded.position",
    )
    .bind(SETTLED)
    .bind(position)
    .execute(conn)
    .await?;
    Ok(())
}
