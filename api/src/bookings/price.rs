//! What a booking costs, and the credit for it: estimated by the tariff before, rated by the trips
//! after; always by the tariff version the booking began with.

use wire::time::Timestamp;

use super::types::{Booking, BookingPrice, PriceBasis};
use crate::{
    billing::{
        evidence,
        rating::{self, TripUsage},
        tariff::Tariff,
        tariffs,
        wallet_types::{Capture, HoldStatus, NewHold},
        wallets,
    },
    db::Conn,
    fault::DomainError,
    ids::{HoldId, OrganizationId},
    trips::types::{Trip, TripState},
};

/// A hold outlives its booking by this, for whoever brings the vehicle back late.
pub(super) const HOLD_GRACE_S: i64 = 7 * 86_400;

/// What a booking of `[from, to)` would cost by a tariff, with this distance. Tiers count from zero: what else
/// the month brings is not known yet.
pub(super) fn estimate(
    tariff: &Tariff,
    (from, to): (Timestamp, Timestamp),
    distance_m: i64,
) -> Result<BookingPrice, DomainError> {
    let usage = TripUsage {
        distance_m,
        duration_s: to.since_us(from).div_euclid(1_000_000),
        idle_s: 0,
        energy_wh: 0,
        start_time: from,
    };
    priced(tariff, PriceBasis::Estimate, &[usage])
}

/// What a booking cost by the trips driven; none where none has come in.
pub(super) fn rated(tariff: &Tariff, trips: &[Trip]) -> Result<Option<BookingPrice>, DomainError> {
    let usages: Vec<TripUsage> =
        trips.iter().filter(|t| t.status == TripState::Completed).map(evidence::usage_of).collect();
    if usages.is_empty() {
        return Ok(None);
    }
    priced(tariff, PriceBasis::Trips, &usages).map(Some)
}

fn priced(tariff: &Tariff, basis: PriceBasis, usages: &[TripUsage]) -> Result<BookingPrice, DomainError> {
    let net_minor = rating::rate_all(&tariff.terms, usages)?.max(0);
    let tax_minor = rating::tax_minor(net_minor, tariff.terms.tax_percent)?;
    let exponent = tariff.terms.currency().and_then(|c| c.exponent());
    Ok(BookingPrice {
        basis,
        tariff_id: tariff.id.clone(),
        tariff_version: tariff.version,
        currency: tariff.terms.currency.clone(),
        currency_exponent: exponent.map_or(0, u32::from),
        net_minor,
        tax_minor,
        total_minor: net_minor.saturating_add(tax_minor),
    })
}

/// The tariff version of a booking.
pub(super) async fn tariff_of(conn: &mut Conn, booking: &Booking) -> Result<Tariff, DomainError> {
    tariffs::get(conn, &booking.price.tariff_id, Some(booking.price.tariff_version)).await
}

/// What is kept of a booking that is given up now: nothing before its start.
pub(super) async fn kept_minor(
    conn: &mut Conn,
    now: Timestamp,
    booking: &Booking,
) -> Result<i64, DomainError> {
    if now < booking.from {
        return Ok(0);
    }
    let percent = tariff_of(conn, booking).await?.terms.booking_kept_percent;
    Ok(match percent {
        Some(percent) => rating::percent_of(booking.price.total_minor, percent, "booking")?,
        None => 0,
    })
}

/// What became of a wish for credit.
pub(super) enum Credit {
    /// It is held; no hold where nothing is to be paid.
    Held(Option<HoldId>),
    /// The wallet has not enough; for people.
    Missing(String),
}

/// Holds the price of a booking until `to` and a while.
pub(super) async fn hold(
    conn: &mut Conn,
    now: Timestamp,
    (booking, price, to): (&Booking, &BookingPrice, Timestamp),
) -> Result<Credit, DomainError> {
    if price.total_minor == 0 {
        return Ok(Credit::Held(None));
    }
    let Some(wallet_id) = &booking.wallet_id else {
        // What it cost before was nothing.
        return Ok(Credit::Missing(
            "the organization had no wallet when this was booked; book anew".to_owned(),
        ));
    };
    let new = NewHold {
        wallet_id: wallet_id.to_string(),
        amount_minor: price.total_minor,
        expires_in_s: to.since_us(now).div_euclid(1_000_000) + HOLD_GRACE_S,
        reason: format!("booking {}", booking.id),
    };
    match wallets::hold(conn, now, &new).await {
        Ok(hold) => Ok(Credit::Held(Some(hold.id))),
        Err(DomainError::Conflict(message)) => {
            let wallet = wallets::get(conn, wallet_id).await?;
            let missing_minor = price.total_minor - wallet.available_minor;
            if missing_minor <= 0 {
                return Err(DomainError::Conflict(message));
            }
            let missing = rust_decimal::Decimal::new(missing_minor, price.currency_exponent);
            Ok(Credit::Missing(format!("{message}; {missing} {} is missing", price.currency)))
        }
        Err(error) => Err(error),
    }
}

/// Takes so much of what a booking holds and frees the rest; returns what was taken, which is less where less was
/// held, and nothing where somebody else has closed the hold.
pub(super) async fn settle_hold(
    conn: &mut Conn,
    now: Timestamp,
    (booking, amount_minor): (&Booking, i64),
) -> Result<i64, DomainError> {
    let Some(id) = &booking.hold_id else { return Ok(0) };
    wallets::expire_due(conn, now).await?;
    let hold = wallets::get_hold(conn, id).await?;
    if hold.status != HoldStatus::Held {
        return Ok(0);
    }
    let taken_minor = amount_minor.min(hold.amount_minor);
    if taken_minor == 0 {
        wallets::release(conn, now, id).await?;
    } else {
        wallets::capture(conn, now, (id, &Capture { amount_minor: Some(taken_minor) })).await?;
    }
    Ok(taken_minor)
}

/// The tariff an organization pays by now, at its latest version.
pub(super) async fn tariff_now(conn: &mut Conn, id: &OrganizationId) -> Result<Option<Tariff>, DomainError> {
    match tariffs::of_organization(conn, id).await? {
        Some(tariff_id) => tariffs::get(conn, &tariff_id, None).await.map(Some),
        None => Ok(None),
    }
}
