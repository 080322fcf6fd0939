//! Alerts: what fleets want to be told of, as rules in SQL, and what came of them.
//!
//! *Owns* the tables `alert_rules`, `alert_progress`, `alert_pending` and `alerts`, and the events of rules and alerts.
//! *Does not own* what a query may ask and which rows it sees (`analytics::rules`), nor how people are told (`users`,
//! `webhooks`).
//!
//! Main path: [`evaluator`] hears which vehicles have new data of which time, in the tables that a rule reads, asks the
//! rule about that time and what is near it, and `reconcile` says what becomes of its alerts; they, their events and
//! how far the rule has come are of one transaction (`raised`, `store`). So new data, late data and corrections of trips
//! are one and the same, alerts are those of all the data however it came, and a process that dies goes on where the
//! database says. [`trial`] asks the same of a time that was, and keeps nothing.
//!
//! Bounds: 100 rules an organization; 10,000 alerts of one look, 1,000 vehicles a question; a rule that cannot be asked
//! holds up no other, says why, and is asked what it missed when it can.

pub mod evaluator;
pub(crate) mod http;
pub mod raised;
pub(crate) mod rebuild;
mod reconcile;
pub mod rules;
mod store;
pub mod trial;
pub mod types;

use std::time::Duration;

use analytics::{Whose, rules::Rule};

use self::{reconcile::Times, types::AlertRule};
use crate::{
    db::Conn,
    fault::{DomainError, Faults},
    ids::OrganizationId,
    vehicles,
};

/// The numbers of a rule, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    look_back_s: i64,
    look_ahead_s: i64,
    quiet_s: i64,
    min_duration_s: i64,
}

impl Limits {
    fn of(rule: &AlertRule) -> Self {
        Self {
            look_back_s: rule.look_back_s,
            look_ahead_s: rule.look_ahead_s,
            quiet_s: rule.quiet_s,
            min_duration_s: rule.min_duration_s,
        }
    }

    fn check(self, faults: &mut Faults) {
        for (field, value, allowed) in [
            ("look_back_s", self.look_back_s, 0..=604_800),
            ("look_ahead_s", self.look_ahead_s, 0..=86_400),
            ("quiet_s", self.quiet_s, 1..=86_400),
            ("min_duration_s", self.min_duration_s, 0..=86_400),
        ] {
            let message = format!("must be {} to {}", allowed.start(), allowed.end());
            faults.require(allowed.contains(&value), field, &message);
        }
    }

    /// The rule as the lake is asked it.
    fn asked(self, query: &str) -> Rule {
        let seconds = |s: i64| Duration::from_secs(u64::try_from(s).unwrap_or(0));
        Rule {
            query: query.to_owned(),
            look_back: seconds(self.look_back_s),
            look_ahead: seconds(self.look_ahead_s),
            quiet: seconds(self.quiet_s),
        }
    }

    fn times(self) -> Times {
        Times {
            quiet_us: self.quiet_s.saturating_mul(1_000_000),
            min_duration_us: self.min_duration_s.saturating_mul(1_000_000),
        }
    }
}

/// The vehicles of an organization; everybody's where there is none.
async fn vehicles_of(
    conn: &mut Conn,
    organization: Option<&OrganizationId>,
) -> Result<Option<Whose>, DomainError> {
    match organization {
        Some(own) => Ok(Some(Whose::of(vehicles::names(conn, Some(own)).await?.into_keys()))),
        None => Ok(None),
    }
}
