//! Billing: tariffs, what trips cost, invoices and their evidence.
//!
//! *Owns* the tables `tariffs`, `tariff_assignments`, `trip_usage`, `invoices`, `invoice_lines`, `invoice_charges`,
//! `credit_notes`, `credit_note_lines`, `month_usage`, `trip_month_usage`, `wallets`,
//! `ledger_entries`, `wallet_holds`, `payments`, `refunds`, `dunning_policies`, `dunning_cases` and `billing_settled`, and their events. *Does not own* trips: it listens to them as
//! [`TripObserver`]. It calls the domains to its left.
//!
//! Path: `tariff.rs` says what a tariff is, `rating.rs` what a trip costs (pure), `invoicing.rs`
//! keeps the lines of draft invoices in step with trips, `charges.rs` what is owed for other things, `notes.rs` corrects final ones,
//! `settlement.rs` has them paid or void, `dunning.rs` sees to those that are not paid, `evidence.rs` proves a line again from the lake,
//! `pdf.rs` and `csv.rs` print them. A trip waits, unbilled, until its vehicle has an organization and that a tariff.

pub mod charges;
mod csv;
pub mod dunning;
pub mod evidence;
pub mod gateway;
pub(crate) mod http;
pub mod invoicing;
pub mod notes;
pub mod payment_types;
pub mod payments;
pub(crate) mod pdf;
mod periods;
pub mod previews;
pub mod rating;
pub(crate) mod rebuild;
pub mod settlement;
mod store;
pub mod tariff;
pub mod tariffs;
pub mod tiers;
pub mod types;
pub mod upkeep;
pub mod wallet_types;
pub mod wallets;

use async_trait::async_trait;
use wire::time::Timestamp;

pub use rating::RatingError;

use crate::{
    db::Conn,
    events,
    fault::DomainError,
    ids::{OrganizationId, TariffId, TripId},
    trips::{
        TripObserver,
        types::{Trip, TripState},
    },
    vehicles,
};

/// Billing as it listens to trips.
#[derive(Debug, Default)]
pub struct Billing;

/// Who pays for a trip, and by which tariff. It stays with the trip once chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Who pays.
    pub organization_id: OrganizationId,
    /// By which tariff.
    pub tariff_id: TariffId,
    /// By which version of it.
    pub tariff_version: i64,
}

/// Whether billing is done with a trip's latest revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsageState {
    /// Its vehicle has no organization, or that no tariff.
    Waiting,
    /// Its lines are written.
    Rated,
    /// It is withdrawn and was never billed.
    Void,
}

#[async_trait]
impl TripObserver for Billing {
    async fn trip_changed(&self, conn: &mut Conn, now: Timestamp, trip: &Trip) -> Result<(), DomainError> {
        bill_or_wait(conn, now, trip).await
    }

    async fn settle(&self, conn: &mut Conn, now: Timestamp) -> Result<(), DomainError> {
        let position = events::last_position(conn).await?;
        if store::settled_position(conn).await? == position {
            return Ok(());
        }
        for vehicle_id in store::waiting_vehicles(conn).await? {
            if assignment_now(conn, &vehicle_id).await?.is_none() {
                continue;
            }
            for trip in store::waiting_trips(conn, &vehicle_id).await? {
                bill_or_wait(conn, now, &trip).await?;
            }
        }
        // The events of what was just billed wait for nothing: they are settled too.
        let position = events::last_position(conn).await?;
        store::settle(conn, position).await
    }
}

async fn bill_or_wait(conn: &mut Conn, now: Timestamp, trip: &Trip) -> Result<(), DomainError> {
    let kept = store::assignment(conn, &trip.id).await?;
    let assignment = match kept {
        Some(assignment) => Some(assignment),
        None => assignment_now(conn, &trip.vehicle_id).await?,
    };
    let (state, assignment) = match (assignment, trip.status) {
        (Some(assignment), _) => {
            invoicing::bill(conn, now, trip, &assignment).await?;
            (UsageState::Rated, Some(assignment))
        }
        (None, TripState::Completed) => (UsageState::Waiting, None),
        (None, TripState::Withdrawn) => (UsageState::Void, None),
    };
    store::save_usage(conn, trip, state, assignment.as_ref()).await
}

/// Whether billing has taken a trip.
pub(crate) async fn knows(conn: &mut Conn, trip_id: &TripId) -> Result<bool, DomainError> {
    Ok(store::usage_trip(conn, trip_id).await?.is_some())
}

/// Who pays for a vehicle's trips now, if anybody does.
async fn assignment_now(
    conn: &mut Conn,
    vehicle_id: &wire::ids::VehicleId,
) -> Result<Option<Assignment>, DomainError> {
    let Some(organization_id) = vehicles::organization_of(conn, vehicle_id).await? else { return Ok(None) };
    let Some(tariff_id) = store::tariff_of(conn, &organization_id).await? else { return Ok(None) };
    let tariff_version = tariffs::get(conn, &tariff_id, None).await?.version;
    Ok(Some(Assignment { organization_id, tariff_id, tariff_version }))
}
