//! Bookings: a vehicle for a period, paid from the wallet.
//!
//! *Owns* the tables `bookings` and `booked_trips`, and the bookings' events. *Does not own* credit
//! (billing's wallets hold it), vehicles, planned trips (trips') nor how people are told (users'
//! notifications): it calls those domains, all to its left.
//!
//! Path: [`begin`] checks a wish and stores it as `pending`; `saga.rs` takes its steps, each of them
//! an event and a transaction; `change.rs` says what a booking is after an event; `acts.rs` extends,
//! cancels, starts and finishes; `settle.rs` takes the price and sets it right; `worker.rs` goes on where a process died and lets expire what is
//! over; `observer.rs` keeps trips of a booking from the invoice. `bookings` is made of the events
//! alone: `rebuild.rs` makes it anew.
//!
//! Bounds: 180 days ahead, 30 days long; 100 bookings a look of the worker.

pub mod acts;
mod change;
pub(crate) mod http;
pub mod observer;
mod price;
pub(crate) mod rebuild;
pub mod saga;
mod settle;
mod store;
pub mod types;
pub mod worker;

use wire::{
    ids::VehicleId,
    time::{DAY_US, Timestamp},
};

use crate::{
    billing::{dunning, wallets, wallets::AMOUNT_MAX},
    caller::Caller,
    db::Conn,
    extract::id_of,
    fault::{DomainError, Faults},
    ids::{BookingId, OrganizationId, UserId},
    page::{Cursor, LIMIT_MAX, Page, limit_of},
    users::{self, people},
    vehicles::{
        self,
        types::{Vehicle, VehicleQuery},
    },
};
use change::{Change, record};
use types::{AvailableQuery, Booking, BookingPrice, BookingQuery, BookingStatus, Extension, NewBooking};

const WHAT: &str = "the booking";
/// Longest booking.
const DURATION_US_MAX: i64 = 30 * DAY_US;
/// Shortest booking.
const DURATION_US_MIN: i64 = 60 * 1_000_000;
/// A start so little in the past is now: the time a request takes, and clocks that differ.
const PAST_US_MAX: i64 = 60 * 1_000_000;
/// Longest way expected: beyond it something is wrong.
const DISTANCE_M_MAX: i64 = 100_000_000;
/// Period looked at where none is named.
const PERIOD_US_DEFAULT: i64 = 3_600 * 1_000_000;

/// A wish that can be had, as far as it says itself.
struct Wish {
    organization_id: OrganizationId,
    vehicle_id: Option<VehicleId>,
    period: (Timestamp, Timestamp),
    price: BookingPrice,
}

/// What a booking would cost, where it can be had as far as it says itself. Whether a vehicle is free then is told by
/// booking it.
pub async fn quote(
    conn: &mut Conn,
    now: Timestamp,
    (caller, new): (&Caller, &NewBooking),
) -> Result<BookingPrice, DomainError> {
    Ok(wished(conn, now, (caller, new)).await?.price)
}

/// What a booking would cost that lasts until another time.
pub async fn quote_extension(
    conn: &mut Conn,
    now: Timestamp,
    (id, extension): (&BookingId, &Extension),
) -> Result<BookingPrice, DomainError> {
    let booking = get(conn, id).await?;
    acts::extended(conn, now, (&booking, extension)).await.map(|(_, price)| price)
}

async fn wished(
    conn: &mut Conn,
    now: Timestamp,
    (caller, new): (&Caller, &NewBooking),
) -> Result<Wish, DomainError> {
    let mut faults = Faults::default();
    let (from, to) = period_of(now, new, &mut faults);
    faults.require(
        (0..=DISTANCE_M_MAX).contains(&new.expected_distance_m),
        "expected_distance_m",
        "must be 0 to 100000000",
    );
    let asked = caller.placed(WHAT, new.organization_id.clone())?;
    let asked = users::check_organization(conn, asked.as_deref(), &mut faults).await?;
    let vehicle = match new.vehicle_id.as_deref() {
        Some(id) => vehicle_of(conn, (id, asked.as_ref()), &mut faults).await?,
        None => None,
    };
    if asked.is_none() && new.vehicle_id.is_none() {
        faults.add("organization_id", "is needed where no vehicle is named");
    }
    faults.finish(WHAT)?;
    let (vehicle_id, of_vehicle) = vehicle.unzip();
    let Some(organization_id) = asked.or(of_vehicle) else {
        return Err(DomainError::invalid(WHAT, "organization_id", "is needed"));
    };
    dunning::refuse_suspended(conn, &organization_id).await?;
    let tariff = price::tariff_now(conn, &organization_id).await?.ok_or_else(|| {
        let message = format!("{organization_id} pays by no tariff; choose its tariff first");
        DomainError::invalid(WHAT, "organization_id", message)
    })?;
    let price = price::estimate(&tariff, (from, to), new.expected_distance_m)?;
    check_price(WHAT, &price)?;
    Ok(Wish { organization_id, vehicle_id, period: (from, to), price })
}

/// Checks a wish and stores it as pending; nothing is held or reserved yet.
pub async fn begin(
    conn: &mut Conn,
    now: Timestamp,
    (caller, new): (&Caller, NewBooking),
) -> Result<Booking, DomainError> {
    let Wish { organization_id, vehicle_id, period: (from, to), price } =
        wished(conn, now, (caller, &new)).await?;
    let user_id = user_of(conn, (caller, new.user_id.as_deref()), &organization_id).await?;
    let wallet = wallets::of_organization(conn, &organization_id).await?;
    if wallet.is_none() && price.total_minor > 0 {
        let message = format!("{organization_id} has no wallet; open one and put credit in");
        return Err(DomainError::invalid(WHAT, "organization_id", message));
    }
    let booking = Booking {
        id: BookingId::new(now),
        organization_id,
        user_id,
        vehicle_id,
        status: BookingStatus::Pending,
        from,
        to,
        expected_distance_m: new.expected_distance_m,
        price,
        wallet_id: wallet.map(|w| w.id),
        hold_id: None,
        planned_trip_id: None,
        is_credit_held: false,
        is_vehicle_reserved: false,
        is_trip_planned: false,
        charged_minor: 0,
        owed_minor: 0,
        kept_minor: 0,
        end_reason: None,
        confirm_by: now.plus_us(saga::CONFIRM_WITHIN_US),
        created_at: now,
        updated_at: now,
        confirmed_at: None,
        started_at: None,
        ended_at: None,
        version: 1,
    };
    record(conn, now, &booking, Change::Requested(Box::new(booking.clone()))).await
}

fn period_of(now: Timestamp, new: &NewBooking, faults: &mut Faults) -> (Timestamp, Timestamp) {
    let (from, to) = (faults.time("from", &new.from), faults.time("to", &new.to));
    let (Some(from), Some(to)) = (from, to) else { return (now, now) };
    if to <= from {
        faults.add("to", "must be after from");
    } else {
        faults.require(to.since_us(from) >= DURATION_US_MIN, "to", "must be at least a minute after from");
        faults.require(to.since_us(from) <= DURATION_US_MAX, "to", "must be at most 30 days after from");
    }
    faults.require(now.since_us(from) <= PAST_US_MAX, "from", "must not be in the past");
    faults.require(from.since_us(now) <= saga::AHEAD_US_MAX, "from", "must be within 180 days");
    (from, to)
}

/// The vehicle asked for and whose it is. One of another organization is as one that is not there.
async fn vehicle_of(
    conn: &mut Conn,
    (id, organization): (&str, Option<&OrganizationId>),
    faults: &mut Faults,
) -> Result<Option<(VehicleId, OrganizationId)>, DomainError> {
    let missing = format!("there is no vehicle {id}; see /v1/vehicles");
    match vehicles::get(conn, id).await {
        Ok(Vehicle { vehicle_id, organization_id: Some(own), .. })
            if organization.is_none_or(|asked| *asked == own) =>
        {
            return Ok(Some((vehicle_id, own)));
        }
        Ok(Vehicle { organization_id: None, .. }) if organization.is_none() => {
            faults.add("vehicle_id", format!("vehicle {id} is of no organization, which would pay"));
        }
        Ok(_) | Err(DomainError::NotFound { .. }) => faults.add("vehicle_id", missing),
        Err(error) => return Err(error),
    }
    Ok(None)
}

/// The person a booking is for.
async fn user_of(
    conn: &mut Conn,
    (caller, asked): (&Caller, Option<&str>),
    organization_id: &OrganizationId,
) -> Result<Option<UserId>, DomainError> {
    let Some(text) = asked else {
        // The operator's people book for others.
        return Ok(caller.organization().and(caller.user()).cloned());
    };
    let id: UserId = id_of(WHAT, "user_id", text)?;
    let user = match people::get(conn, &id).await {
        Ok(user) => Some(user).filter(|u| u.organization_id.as_ref() == Some(organization_id) && u.is_active),
        Err(DomainError::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let message = "there is no such active user in the organization; see /v1/users";
    Ok(Some(user.ok_or_else(|| DomainError::invalid(WHAT, "user_id", message))?.id))
}

fn check_price(what: &'static str, price: &BookingPrice) -> Result<(), DomainError> {
    if price.total_minor <= AMOUNT_MAX {
        return Ok(());
    }
    Err(DomainError::invalid(
        what,
        "to",
        "makes a price that no wallet holds; book for less time or distance",
    ))
}

/// A booking.
pub async fn get(conn: &mut Conn, id: &BookingId) -> Result<Booking, DomainError> {
    store::booking(conn, id).await?.ok_or_else(|| DomainError::not_found("booking", id.as_str()))
}

/// Bookings, latest start first.
pub async fn list(conn: &mut Conn, query: BookingQuery) -> Result<Page<Booking>, DomainError> {
    let limit = limit_of(query.limit)?;
    let mut faults = Faults::default();
    let (from_us, to_us) = faults.period_us(query.from.as_deref(), query.to.as_deref());
    let status = query.status.unwrap_or_default();
    faults.require(
        status.is_empty() || BookingStatus::of(&status).is_some(),
        "status",
        "must be pending, confirmed, started, undoing, finished, cancelled, expired or failed",
    );
    faults.finish("the query")?;
    let before = Cursor::before(query.cursor.as_deref())?;
    let wanted = store::Wanted {
        organization: query.organization_id.unwrap_or_default(),
        vehicle: query.vehicle_id.unwrap_or_default(),
        status,
        from_us,
        to_us,
    };
    let found = store::latest(conn, wanted, (before, limit + 1)).await?;
    Ok(Page::of(found, limit, |b| Cursor { key: b.from.0.to_string(), id: b.id.to_string() }))
}

/// Vehicles that nobody has reserved in a period, by telemetry id, without their live state and groups.
pub async fn available(
    conn: &mut Conn,
    now: Timestamp,
    query: AvailableQuery,
) -> Result<Page<Vehicle>, DomainError> {
    let limit = limit_of(query.limit)?;
    let mut faults = Faults::default();
    let mut time = |field, text: &Option<String>| text.as_deref().and_then(|text| faults.time(field, text));
    let (from, to) = (time("from", &query.from), time("to", &query.to));
    let from = from.unwrap_or(now);
    let to = to.unwrap_or_else(|| from.plus_us(PERIOD_US_DEFAULT));
    faults.require(to > from, "to", "must be after from");
    faults.finish("the query")?;
    let reserved = store::reserved(conn, (from, to)).await?;
    let wanted = usize::try_from(limit + 1).unwrap_or(usize::MAX);
    let (mut free, mut cursor) = (Vec::new(), query.cursor);
    loop {
        let organization_id = query.organization_id.clone();
        let some = VehicleQuery { q: None, organization_id, group_id: None, limit: Some(LIMIT_MAX), cursor };
        let page = vehicles::list(conn, &some).await?;
        let is_free = |v: &Vehicle| v.organization_id.is_some() && !reserved.contains(&v.vehicle_id);
        free.extend(page.data.into_iter().filter(is_free));
        cursor = page.next_cursor;
        if cursor.is_none() || free.len() >= wanted {
            break;
        }
    }
    free.truncate(wanted);
    Ok(Page::of(free, limit, |v| Cursor { key: v.vehicle_id.to_string(), id: v.id.to_string() }))
}
