//! Trials: what a rule would have raised in a time that was. Nothing is kept.

use std::collections::BTreeMap;

use wire::{ids::VehicleId, time::DAY_US};

use super::{
    Limits,
    types::{AlertRuleTrial, AlertTrialAlert, AlertTrialDay, AlertTrialResult, AlertTrialVehicle},
    vehicles_of,
};
use crate::{
    caller::Caller,
    db::Db,
    fault::{DomainError, Faults},
    lake_port::{LakeErrorKind, LakeReader},
    users,
};

/// The longest time that one is about.
const PERIOD_MAX_US: i64 = 92 * DAY_US;
/// Alerts that are shown.
const SHOWN_MAX: usize = 200;
/// Vehicles that are shown.
const VEHICLES_MAX: usize = 200;

/// Asks a rule about a time that was.
pub async fn run(
    (db, lake): (&Db, &dyn LakeReader),
    caller: &Caller,
    trial: AlertRuleTrial,
) -> Result<AlertTrialResult, DomainError> {
    const WHAT: &str = "the trial";
    let mut faults = Faults::default();
    let limits =
        Limits::given((trial.look_back_s, trial.look_ahead_s), (trial.quiet_s, trial.min_duration_s));
    limits.check(&mut faults);
    let (from, to) = (faults.time("from", &trial.from), faults.time("to", &trial.to));
    if let (Some(from), Some(to)) = (from, to) {
        faults.require(from < to, "to", "must be after from");
        faults.require(to.since_us(from) <= PERIOD_MAX_US, "to", "must be at most 92 days after from");
    }
    let query = trial.query.trim().trim_end_matches(';');
    let organization = caller.placed(WHAT, trial.organization_id)?;
    let whose = {
        let mut conn = db.read().await?;
        let id = users::check_organization(&mut conn, organization.as_deref(), &mut faults).await?;
        vehicles_of(&mut conn, id.as_ref()).await?
    };
    let reads = match lake.check_rule(query).await {
        Ok(shape) => shape.reads,
        Err(error) if error.kind == LakeErrorKind::Invalid => {
            faults.add("query", error.message);
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    faults.finish(WHAT)?;
    let (Some(from), Some(to)) = (from, to) else {
        return Err(DomainError::invalid(WHAT, "from", "is needed"));
    };
    let period = (from, to.plus_us(-1));
    let asked = lake.rule_episodes(&limits.asked(query), (whose.as_ref(), &BTreeMap::new()), period).await;
    let found = asked.map_err(|error| match error.kind {
        // It fails on what is there, such as a cast.
        LakeErrorKind::Invalid => DomainError::invalid(WHAT, "query", error.message),
        _ => error.into(),
    })?;
    let min_us = limits.times().min_duration_us;
    let mut alerts: Vec<AlertTrialAlert> = found
        .episodes
        .into_iter()
        .filter(|episode| episode.end.since_us(episode.start) >= min_us)
        .map(|episode| AlertTrialAlert {
            vehicle_id: episode.vehicle_id,
            key: episode.key,
            started_at: episode.start,
            last_at: episode.end,
            value: episode.value,
            message: episode.message,
            details: episode.details,
        })
        .collect();
    let mut days: BTreeMap<String, usize> = BTreeMap::new();
    let mut vehicles: BTreeMap<VehicleId, usize> = BTreeMap::new();
    for alert in &alerts {
        let date = alert.started_at.to_string().chars().take(10).collect();
        *days.entry(date).or_default() += 1;
        *vehicles.entry(alert.vehicle_id.clone()).or_default() += 1;
    }
    let mut vehicles: Vec<AlertTrialVehicle> = vehicles
        .into_iter()
        .map(|(vehicle_id, alert_count)| AlertTrialVehicle { vehicle_id, alert_count })
        .collect();
    vehicles.sort_by(|a, b| b.alert_count.cmp(&a.alert_count).then_with(|| a.vehicle_id.cmp(&b.vehicle_id)));
    vehicles.truncate(VEHICLES_MAX);
    let alert_count = alerts.len();
    alerts.sort_by(|a, b| (a.started_at, &a.vehicle_id).cmp(&(b.started_at, &b.vehicle_id)));
    alerts.truncate(SHOWN_MAX);
    Ok(AlertTrialResult {
        reads,
        alert_count,
        is_truncated: found.is_truncated,
        days: days.into_iter().map(|(date, alert_count)| AlertTrialDay { date, alert_count }).collect(),
        vehicles,
        alerts,
    })
}
