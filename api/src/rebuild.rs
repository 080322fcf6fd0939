//! Rows made anew from the event log: `roadlake admin rebuild`.
//!
//! One transaction, which holds the writers' turn: beside a running server it waits for the write that is under
//! way, others wait for it (and are told to come back after 10 s), readers see what was before until it commits. A
//! failure changes nothing. A domain says what it clears and what an event makes; events are taken in their order.
//!
//! *Not* made of events, so never touched: people and keys (the log has no names and no secrets), payments and
//! refunds (nor what names a card), the entries of the ledger (a log of their own: balances are checked against it),
//! what billing has rated, alerts and how far their rules have come (they are of the lake), notifications, the audit log, tokens of enrolment and lists of revoked certificates.

use std::{fmt, str::FromStr};

use crate::{
    agents, alerts, billing, bookings,
    db::{Conn, Db},
    devices, drivers,
    events::{self, Event},
    fault::DomainError,
    maintenance, trips, users,
    vehicles::{self, geofences, groups},
};

/// What is made of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Projection {
    /// `organizations`.
    Organizations,
    /// `vehicles`.
    Vehicles,
    /// `geofences` and `geofence_presences`.
    Geofences,
    /// `vehicle_groups` and `group_vehicles`.
    Groups,
    /// `trip_revisions`, `trips`, `vehicle_mileage`, which trips make, and `trip_corrections`.
    Trips,
    /// `planned_trips`.
    PlannedTrips,
    /// `tariffs` and `tariff_assignments`.
    Tariffs,
    /// `invoices`, their lines, charges and notes.
    Invoices,
    /// `wallets` and `wallet_holds`.
    Wallets,
    /// `bookings` and `booked_trips`.
    Bookings,
    /// `dunning_policies` and `dunning_cases`.
    Dunning,
    /// `campaign_sets`, `campaign_deployments` and `campaign_targets`: all is given to the broker again.
    Campaigns,
    /// `commands`.
    Commands,
    /// `devices` and `certificates`.
    Devices,
    /// `maintenance_schedules`, `maintenance_items` and `work_orders`.
    Maintenance,
    /// `drivers` and `driver_assignments`.
    Drivers,
    /// `alert_rules`; not what they raised.
    AlertRules,
}

impl Projection {
    /// Each, those first that others are made with.
    pub const ALL: [Self; 17] = [
        Self::Organizations,
        Self::Vehicles,
        Self::Geofences,
        Self::Groups,
        Self::Trips,
        Self::PlannedTrips,
        Self::Tariffs,
        Self::Invoices,
        Self::Wallets,
        Self::Bookings,
        Self::Dunning,
        Self::Campaigns,
        Self::Commands,
        Self::Devices,
        Self::Maintenance,
        Self::Drivers,
        Self::AlertRules,
    ];

    /// As it is asked for.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organizations => "organizations",
            Self::Vehicles => "vehicles",
            Self::Geofences => "geofences",
            Self::Groups => "groups",
            Self::Trips => "trips",
            Self::PlannedTrips => "planned-trips",
            Self::Tariffs => "tariffs",
            Self::Invoices => "invoices",
            Self::Wallets => "wallets",
            Self::Bookings => "bookings",
            Self::Dunning => "dunning",
            Self::Campaigns => "campaigns",
            Self::Commands => "commands",
            Self::Devices => "devices",
            Self::Maintenance => "maintenance",
            Self::Drivers => "drivers",
            Self::AlertRules => "alert-rules",
        }
    }

    async fn clear(self, conn: &mut Conn) -> Result<(), DomainError> {
        match self {
            Self::Organizations => users::rebuild::clear(conn).await,
            Self::Vehicles => vehicles::rebuild::clear(conn).await,
            Self::Geofences => geofences::rebuild::clear(conn).await,
            Self::Groups => groups::rebuild::clear(conn).await,
            Self::Trips => trips::rebuild::clear(conn).await,
            Self::PlannedTrips => trips::planned::clear(conn).await,
            Self::Tariffs => billing::rebuild::clear_tariffs(conn).await,
            Self::Invoices => billing::rebuild::clear_invoices(conn).await,
            Self::Wallets => billing::rebuild::clear_wallets(conn).await,
            Self::Bookings => bookings::rebuild::clear(conn).await,
            Self::Dunning => billing::dunning::clear(conn).await,
            Self::Campaigns => agents::rebuild::clear_campaigns(conn).await,
            Self::Commands => agents::rebuild::clear_commands(conn).await,
            Self::Devices => devices::rebuild::clear(conn).await,
            Self::Maintenance => maintenance::rebuild::clear(conn).await,
            Self::Drivers => drivers::rebuild::clear(conn).await,
            Self::AlertRules => alerts::rebuild::clear(conn).await,
        }
    }

    /// Whether the event was one of its own.
    async fn replay(self, conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
        match self {
            Self::Organizations => users::rebuild::replay(conn, event).await,
            Self::Vehicles => vehicles::rebuild::replay(conn, event).await,
            Self::Geofences => geofences::rebuild::replay(conn, event).await,
            Self::Groups => groups::rebuild::replay(conn, event).await,
            Self::Trips => trips::rebuild::replay(conn, event).await,
            Self::PlannedTrips => trips::planned::replay(conn, event).await,
            Self::Tariffs => billing::rebuild::replay_tariff(conn, event).await,
            Self::Invoices => billing::rebuild::replay_invoice(conn, event).await,
            Self::Wallets => billing::rebuild::replay_wallet(conn, event).await,
            Self::Bookings => bookings::rebuild::replay(conn, event).await,
            Self::Dunning => billing::dunning::replay(conn, event).await,
            Self::Campaigns => agents::rebuild::replay_campaigns(conn, event).await,
            Self::Commands => agents::rebuild::replay_commands(conn, event).await,
            Self::Devices => devices::rebuild::replay(conn, event).await,
            Self::Maintenance => maintenance::rebuild::replay(conn, event).await,
            Self::Drivers => drivers::rebuild::replay(conn, event).await,
            Self::AlertRules => alerts::rebuild::replay(conn, event).await,
        }
    }

    /// What is left to do, or to find wrong, after the last event.
    async fn finish(self, conn: &mut Conn) -> Result<(), DomainError> {
        match self {
            Self::Invoices => billing::rebuild::finish_invoices(conn).await,
            Self::Wallets => billing::rebuild::finish_wallets(conn).await,
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Projection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|p| p.as_str() == text).ok_or_else(|| format!("is none of {}", names()))
    }
}

/// Makes the rows of these anew (of all when none is named); of each, how many events it is made of.
pub async fn rebuild(db: &Db, which: &[Projection]) -> Result<Vec<(Projection, u64)>, DomainError> {
    let meant = |p: &Projection| which.is_empty() || which.contains(p);
    let mut counts: Vec<(Projection, u64)> =
        Projection::ALL.into_iter().filter(meant).map(|p| (p, 0)).collect();
    let mut tx = db.write().await?;
    for (projection, _) in counts.iter().rev() {
        projection.clear(&mut tx).await?;
    }
    let mut position = 0;
    loop {
        let some = events::after(&mut tx, position, events::REBUILD_COUNT).await?;
        let Some(last) = some.last() else { break };
        position = last.position;
        for event in &some {
            for (projection, count) in &mut counts {
                *count += u64::from(projection.replay(&mut tx, event).await?);
            }
        }
    }
    for (projection, _) in &counts {
        projection.finish(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(counts)
}
