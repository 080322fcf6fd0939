//! SQL on `bookings` and `booked_trips`.

use std::collections::HashSet;

use sqlx::Row;
use wire::{ids::VehicleId, time::Timestamp};

use super::{saga, types::Booking};
use crate::{
    db::Conn,
    events::json_of,
    fault::DomainError,
    ids::{BookingId, TripId},
    rows::{parsed, read_json},
    trips::types::Trip,
};

/// Bookings in use that a trip may be of, newest first; more than one only around a change of hands.
const IN_USE_COUNT: i64 = 20;

pub(super) async fn save(conn: &mut Conn, booking: &Booking) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO bookings (id, organization_id, vehicle_id, status, reserves_vehicle, from_us, to_us, due_us, \
         version, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (id) DO UPDATE SET vehicle_id = excluded.vehicle_id, status = excluded.status, \
         reserves_vehicle = excluded.reserves_vehicle, from_us = excluded.from_us, to_us = excluded.to_us, \
         due_us = excluded.due_us, version = excluded.version, data = excluded.data",
    )
    .bind(booking.id.to_string())
    .bind(booking.organization_id.to_string())
    .bind(booking.vehicle_id.as_ref().map(ToString::to_string))
    .bind(booking.status.as_str())
    .bind(i64::from(booking.is_vehicle_reserved))
    .bind(booking.from.0)
    .bind(booking.to.0)
    .bind(saga::due_at(booking).map(|at| at.0))
    .bind(booking.version)
    .bind(json_of(booking).to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Only to make them anew.
pub(super) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM booked_trips").execute(&mut *conn).await?;
    sqlx::query("DELETE FROM bookings").execute(conn).await?;
    Ok(())
}

pub(super) async fn booking(conn: &mut Conn, id: &BookingId) -> Result<Option<Booking>, DomainError> {
    let row = sqlx::query("SELECT data FROM bookings WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|row| read_json(row, "booking")).transpose()
}

/// Which bookings a page is of: organization, vehicle and status, any when empty; overlapping `[from, to)`.
pub(super) struct Wanted {
    pub(super) organization: String,
    pub(super) vehicle: String,
    pub(super) status: String,
    pub(super) from_us: i64,
    pub(super) to_us: i64,
}

/// Bookings, latest start first, before a cursor.
pub(super) async fn latest(
    conn: &mut Conn,
    wanted: Wanted,
    ((before_us, before_id), limit): ((i64, String), i64),
) -> Result<Vec<Booking>, DomainError> {
    let rows = sqlx::query(
        "SELECT data FROM bookings WHERE ($1 = '' OR organization_id = $1) AND ($2 = '' OR vehicle_id = $2) \
         AND ($3 = '' OR status = $3) AND to_us > $4 AND from_us < $5 \
         AND (from_us < $6 OR (from_us = $6 AND id < $7)) ORDER BY from_us DESC, id DESC LIMIT $8",
    )
    .bind(wanted.organization)
    .bind(wanted.vehicle)
    .bind(wanted.status)
    .bind(wanted.from_us)
    .bind(wanted.to_us)
    .bind(before_us)
    .bind(before_id)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| read_json(row, "booking")).collect()
}

/// The first booking other than this one that has the vehicle reserved within `[from, to)`.
pub(super) async fn overlapping(
    conn: &mut Conn,
    vehicle_id: &VehicleId,
    (from, to): (Timestamp, Timestamp),
    but: &BookingId,
) -> Result<Option<Booking>, DomainError> {
    let row = sqlx::query(
        "SELECT data FROM bookings WHERE vehicle_id = $1 AND reserves_vehicle = 1 AND to_us > $2 AND from_us < $3 \
         AND id <> $4 ORDER BY from_us, id LIMIT 1",
    )
    .bind(vehicle_id.to_string())
    .bind(from.0)
    .bind(to.0)
    .bind(but.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(|row| read_json(row, "booking")).transpose()
}

/// The vehicles that are reserved at any time within `[from, to)`.
pub(super) async fn reserved(
    conn: &mut Conn,
    (from, to): (Timestamp, Timestamp),
) -> Result<HashSet<VehicleId>, DomainError> {
    let rows = sqlx::query(
        "SELECT DISTINCT vehicle_id FROM bookings WHERE reserves_vehicle = 1 AND vehicle_id IS NOT NULL \
         AND to_us > $1 AND from_us < $2",
    )
    .bind(from.0)
    .bind(to.0)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| parsed(row.try_get("vehicle_id")?, "vehicle")).collect()
}

/// Bookings that have to be looked at by now.
pub(super) async fn due(
    conn: &mut Conn,
    (now, limit): (Timestamp, i64),
) -> Result<Vec<BookingId>, DomainError> {
    let rows = sqlx::query("SELECT id FROM bookings WHERE due_us <= $1 ORDER BY due_us, id LIMIT $2")
        .bind(now.0)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| parsed(row.try_get("id")?, "booking")).collect()
}

/// Bookings of a vehicle whose use had begun, of those from before a time, newest first.
pub(super) async fn used(
    conn: &mut Conn,
    (vehicle_id, before): (&VehicleId, Timestamp),
) -> Result<Vec<Booking>, DomainError> {
    let rows = sqlx::query(
        "SELECT data FROM bookings WHERE vehicle_id = $1 AND status IN ('started', 'finished') AND from_us <= $2 \
         ORDER BY from_us DESC, id DESC LIMIT $3",
    )
    .bind(vehicle_id.to_string())
    .bind(before.0)
    .bind(IN_USE_COUNT)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| read_json(row, "booking")).collect()
}

/// The booking that a trip is of, if it was found to be of one.
pub(super) async fn booking_of_trip(
    conn: &mut Conn,
    trip_id: &TripId,
) -> Result<Option<BookingId>, DomainError> {
    let row = sqlx::query("SELECT booking_id FROM booked_trips WHERE trip_id = $1")
        .bind(trip_id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(|row| parsed(row.try_get("booking_id")?, "booking")).transpose()
}

pub(super) async fn save_trip(conn: &mut Conn, id: &BookingId, trip: &Trip) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO booked_trips (trip_id, booking_id, data) VALUES ($1, $2, $3) \
         ON CONFLICT (trip_id) DO UPDATE SET data = excluded.data",
    )
    .bind(trip.id.to_string())
    .bind(id.to_string())
    .bind(json_of(trip).to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// The trips driven within a booking, as far as they have come in.
pub(super) async fn trips_of(conn: &mut Conn, id: &BookingId) -> Result<Vec<Trip>, DomainError> {
    let rows = sqlx::query("SELECT data FROM booked_trips WHERE booking_id = $1 ORDER BY trip_id")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| read_json(row, "booking")).collect()
}
