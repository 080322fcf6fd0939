//! The evaluator: each beat, every rule is asked about what is new to it.
//!
//! What it hears (whose data is new, and of which time) and what the lake answers need no transaction; what becomes of
//! the alerts is worked out in the one that notes how far the rule has come, so of any number of processes one does it,
//! and one that dies half way has done nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use analytics::{
    Whose,
    rules::{Changes, Episode, Found, Spans},
};
use service::{SharedClock, logs::chain};
use wire::{
    ids::VehicleId,
    time::{DAY_US, Timestamp},
};

use super::{
    Limits, raised,
    reconcile::{Standing, Step, reconciled},
    store::{self, Kept, Progress},
    types::AlertRule,
    vehicles_of,
};
use crate::{
    db::{Conn, Db},
    fault::DomainError,
    ids::AlertRuleId,
    lake_port::LakeReader,
    metrics,
    ticks::Ticks,
};

/// Of the api's beats so many are one of the rules': a question costs much the same whether a second or five are new.
pub(crate) const BEATS: u32 = 5;
/// Vehicles that one question is about.
const VEHICLES_A_QUESTION: usize = 1_000;
/// Where what was new is not known any more, what speaks of this long before the last look or later is taken for it.
const LOST_US: i64 = DAY_US;
/// What waits to be sure is sure so long after it could have been: commits and clocks take their time.
const GRACE_US: i64 = 60_000_000;
/// A rule that cannot be asked is asked again after so long.
const RETRY_US: i64 = 60_000_000;

/// The task's parts.
#[derive(Debug)]
pub struct Evaluator {
    db: Db,
    lake: Arc<dyn LakeReader>,
    clock: SharedClock,
    /// Rules, by version, that could not be asked, and when that was.
    failed: HashMap<(AlertRuleId, i64), Timestamp>,
}

/// What was heard of the lake in one look.
#[derive(Default)]
struct Heard {
    /// By tables, and after which versions: rules that have come equally far hear of the same.
    changes: HashMap<(Vec<String>, BTreeMap<String, i64>), Changes>,
    /// The time of each vehicle's last state, once somebody asked.
    newest: Option<BTreeMap<VehicleId, Timestamp>>,
}

/// A time to ask about, of some vehicles.
struct Part {
    vehicles: Vec<VehicleId>,
    from: Timestamp,
    to: Timestamp,
}

/// What the lake said of a part.
struct Answer {
    part: Part,
    found: Found,
}

impl Evaluator {
    /// One that asks the lake.
    pub fn new(db: Db, lake: Arc<dyn LakeReader>, clock: SharedClock) -> Self {
        Self { db, lake, clock, failed: HashMap::new() }
    }

    /// Runs until stopped; a failure is told and tried again at the next beat.
    pub(crate) async fn run(mut self, mut ticks: Ticks) {
        while ticks.next().await {
            if let Err(error) = self.look().await {
                tracing::warn!(error = %chain(&error), "alert rules not looked at, will try again");
            }
        }
    }

    /// Asks every rule about what is new; returns how many steps were taken.
    pub async fn look(&mut self) -> Result<usize, DomainError> {
        let now = Timestamp(self.clock.now_us());
        self.failed.retain(|_, at| (0..RETRY_US).contains(&now.since_us(*at)));
        let rules = {
            let mut conn = self.db.read().await?;
            store::enabled_rules(&mut conn).await?
        };
        let mut heard = Heard::default();
        let mut steps = 0;
        for rule in &rules {
            let key = (rule.id.clone(), rule.version);
            if self.failed.contains_key(&key) {
                continue;
            }
            match self.evaluate(rule, &mut heard).await {
                Ok(count) => steps += count,
                Err(error) => {
                    metrics::alert_rule_failed();
                    tracing::warn!(error = %chain(&error), rule_id = %rule.id, "alert rule not asked, will try again");
                    self.failed.insert(key, now);
                    self.note_fault(&rule.id, &error).await?;
                }
            }
        }
        if !rules.is_empty() {
            let mut conn = self.db.read().await?;
            metrics::alerts_kept(store::open_count(&mut conn).await?);
        }
        Ok(steps)
    }

    async fn evaluate(&self, rule: &AlertRule, heard: &mut Heard) -> Result<usize, DomainError> {
        let now = Timestamp(self.clock.now_us());
        let (progress, mut pending, open, whose) = {
            let mut conn = self.db.read().await?;
            let Some(progress) = store::progress(&mut conn, &rule.id).await? else {
                return self.begin(rule).await;
            };
            let pending = store::pending(&mut conn, &rule.id).await?;
            let open = store::open(&mut conn, &rule.id).await?;
            (progress, pending, open, vehicles_of(&mut conn, rule.organization_id.as_ref()).await?)
        };
        let key = (rule.reads.clone(), progress.versions.clone());
        let changes = match heard.changes.get(&key) {
            Some(changes) => changes.clone(),
            None => {
                let since = progress.evaluated_at.unwrap_or(now).plus_us(-LOST_US);
                let changes = self.lake.rule_changes(&rule.reads, (&progress.versions, since)).await?;
                heard.changes.insert(key, changes.clone());
                changes
            }
        };
        let limits = Limits::of(rule);
        let is_own =
            |vehicle: &VehicleId| whose.as_ref().is_none_or(|whose| whose.includes(vehicle.as_str()));
        let mut touched = changes.touched.clone();
        touched.retain(|vehicle, _| is_own(vehicle));
        // A vehicle that has become another's is asked about no more.
        pending.retain(|vehicle, _| is_own(vehicle));
        // What waited, where something newer is there, or nothing has come for long enough.
        let wait_us = limits.look_ahead_s.saturating_mul(1_000_000).saturating_add(GRACE_US);
        let is_sure = |vehicle: &VehicleId| {
            pending.get(vehicle).is_some_and(|(_, since)| now.since_us(*since) >= wait_us)
                && !changes.touched.contains_key(vehicle)
        };
        let mut sure = Vec::new();
        for (vehicle, (from, _)) in &pending {
            if is_sure(vehicle) {
                sure.push(vehicle.clone());
                touched.insert(vehicle.clone(), (*from, *from));
            } else if let Some(span) = touched.get_mut(vehicle) {
                span.0 = span.0.min(*from);
            }
        }
        let ends_now = |kept: &Kept, heard: Option<Timestamp>| {
            let quiet_us = limits.times().quiet_us;
            heard.is_some_and(|heard| heard.since_us(kept.alert.last_at) > quiet_us)
                || now.since_us(kept.seen_at) > quiet_us
        };
        let mut newest = BTreeMap::new();
        if !touched.is_empty() || !open.is_empty() {
            let states = || self.lake.fleet().into_iter().map(|state| (state.vehicle_id, state.ts)).collect();
            let known = heard.newest.get_or_insert_with(states);
            let meant = touched.keys().chain(open.iter().map(|kept| &kept.alert.vehicle_id));
            newest.extend(meant.filter_map(|id| Some((id.clone(), *known.get(id)?))));
        }
        for (vehicle, (_, to)) in &touched {
            let known = newest.entry(vehicle.clone()).or_insert(*to);
            *known = (*known).max(*to);
        }
        let is_idle = touched.is_empty()
            && progress.fault.is_none()
            && changes.versions == progress.versions
            && !open.iter().any(|kept| ends_now(kept, newest.get(&kept.alert.vehicle_id).copied()));
        if is_idle {
            return Ok(0);
        }
        let answers = self.ask(rule, touched, (&newest, &sure)).await?;
        let mut tx = self.db.write().await?;
        let next = Progress {
            versions: changes.versions,
            turn: progress.turn + 1,
            evaluated_at: Some(now),
            fault: None,
        };
        // Another process was faster, or the rule is another by now: what was asked is not what it asks, though it was
        // read before how far it had come.
        let is_as_asked =
            store::rule(&mut tx, &rule.id).await?.is_some_and(|now| now.version == rule.version);
        if !is_as_asked || !store::advance(&mut tx, (&rule.id, &next)).await? {
            return Ok(0);
        }
        let mut steps = 0;
        for answer in answers {
            steps += apply(&mut tx, now, (rule, limits), answer).await?;
        }
        for kept in store::open(&mut tx, &rule.id).await? {
            if ends_now(&kept, newest.get(&kept.alert.vehicle_id).copied()) {
                raised::end(&mut tx, now, kept).await?;
                steps += 1;
            }
        }
        tx.commit().await?;
        metrics::alert_rule_asked();
        Ok(steps)
    }

    /// A rule whose place in the lake is not known, as after its row was made anew: from now on.
    async fn begin(&self, rule: &AlertRule) -> Result<usize, DomainError> {
        let versions = self.lake.versions_of(&rule.reads).await?;
        let mut tx = self.db.write().await?;
        store::begin_at(&mut tx, &rule.id, &versions).await?;
        tx.commit().await?;
        Ok(0)
    }

    /// Asks about what is new and what is near it, day by day: late data of one vehicle makes nobody ask about the
    /// days of all others.
    async fn ask(
        &self,
        rule: &AlertRule,
        touched: Spans,
        (newest, sure): (&BTreeMap<VehicleId, Timestamp>, &[VehicleId]),
    ) -> Result<Vec<Answer>, DomainError> {
        let limits = Limits::of(rule);
        let us = |s: i64| s.saturating_mul(1_000_000);
        let margin_us = limits.times().margin_us();
        let mut by_day: BTreeMap<i32, Part> = BTreeMap::new();
        for (vehicle, (from, to)) in touched {
            let from = from.plus_us(-us(limits.look_ahead_s)).plus_us(-margin_us);
            let to = to.plus_us(us(limits.look_back_s)).plus_us(margin_us);
            let part =
                by_day.entry(from.utc_day()).or_insert_with(|| Part { vehicles: Vec::new(), from, to });
            part.vehicles.push(vehicle);
            (part.from, part.to) = (part.from.min(from), part.to.max(to));
        }
        let mut answers = Vec::new();
        for part in by_day.into_values() {
            for some in part.vehicles.chunks(VEHICLES_A_QUESTION) {
                let part = Part { vehicles: some.to_vec(), from: part.from, to: part.to };
                let until = if limits.look_ahead_s == 0 {
                    BTreeMap::new()
                } else {
                    self.sure_until(rule, &part, (newest, sure)).await?
                };
                let asked = Whose::of(part.vehicles.iter().cloned());
                let found = self
                    .lake
                    .rule_episodes(&limits.asked(&rule.query), (Some(&asked), &until), (part.from, part.to))
                    .await?;
                if found.is_truncated {
                    let message = format!(
                        "it would raise more than {} alerts at once: make it say less, or quiet_s longer",
                        found.episodes.len()
                    );
                    return Err(DomainError::invalid("the alert rule", "query", message));
                }
                answers.push(Answer { part, found });
            }
        }
        Ok(answers)
    }

    /// Up to when moments of vehicles are sure: as much later as the rule looks is known, or they were told of before.
    async fn sure_until(
        &self,
        rule: &AlertRule,
        part: &Part,
        (newest, sure): (&BTreeMap<VehicleId, Timestamp>, &[VehicleId]),
    ) -> Result<BTreeMap<VehicleId, Timestamp>, DomainError> {
        let mut conn = self.db.read().await?;
        let mut until = BTreeMap::new();
        for vehicle in &part.vehicles {
            let Some(newest) = newest.get(vehicle).filter(|_| !sure.contains(vehicle)) else { continue };
            let ahead = newest.plus_us(-rule.look_ahead_s.saturating_mul(1_000_000));
            let told = store::touching(&mut conn, (rule, vehicle), (part.from, part.to)).await?;
            let told = told.iter().map(|kept| kept.alert.last_at).max();
            until.insert(vehicle.clone(), told.map_or(ahead, |told| told.max(ahead)));
        }
        Ok(until)
    }

    /// Keeps why a rule could not be asked, for people to see.
    async fn note_fault(&self, id: &AlertRuleId, error: &DomainError) -> Result<(), DomainError> {
        let fault = Some(said(error));
        let mut tx = self.db.write().await?;
        if let Some(known) = store::progress(&mut tx, id).await?.filter(|known| known.fault != fault) {
            store::advance(&mut tx, (id, &Progress { turn: known.turn + 1, fault, ..known })).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// For the author of a rule.
fn said(error: &DomainError) -> String {
    match error {
        DomainError::Lake(error) => error.message.clone(),
        DomainError::Invalid { faults, .. } => {
            faults.iter().map(|fault| fault.message.clone()).collect::<Vec<_>>().join("; ")
        }
        error => chain(error).to_string(),
    }
}

/// What becomes of the alerts of the vehicles that an answer is about; returns how many steps that took.
async fn apply(
    conn: &mut Conn,
    now: Timestamp,
    (rule, limits): (&AlertRule, Limits),
    Answer { part, found }: Answer,
) -> Result<usize, DomainError> {
    let mut told: BTreeMap<VehicleId, BTreeMap<Option<String>, Of>> = BTreeMap::new();
    for episode in found.episodes {
        let of = told.entry(episode.vehicle_id.clone()).or_default().entry(episode.key.clone()).or_default();
        of.episodes.push(episode);
    }
    let mut count = 0;
    for vehicle in &part.vehicles {
        let mut by_key = told.remove(vehicle).unwrap_or_default();
        for kept in store::touching(conn, (rule, vehicle), (part.from, part.to)).await? {
            by_key.entry(kept.alert.key.clone()).or_default().kept.push(kept);
        }
        for of in by_key.into_values() {
            count += settle(conn, now, (rule, limits), (of, (part.from, part.to))).await?;
        }
        if limits.look_ahead_s > 0 {
            let waiting = found.held_back.get(vehicle).map(|from| (*from, now));
            store::set_pending(conn, (&rule.id, vehicle), waiting).await?;
        }
    }
    Ok(count)
}

/// What is of one vehicle and key.
#[derive(Default)]
struct Of {
    /// What the rule says.
    episodes: Vec<Episode>,
    /// What was raised, by time.
    kept: Vec<Kept>,
}

async fn settle(
    conn: &mut Conn,
    now: Timestamp,
    (rule, limits): (&AlertRule, Limits),
    (Of { episodes, mut kept }, part): (Of, (Timestamp, Timestamp)),
) -> Result<usize, DomainError> {
    let standing: Vec<Standing> = kept
        .iter()
        .map(|k| Standing { id: k.alert.id.clone(), start: k.alert.started_at, last: k.alert.last_at })
        .collect();
    let steps = reconciled(&standing, &episodes, part, limits.times());
    let count = steps.len();
    for step in steps {
        let mut taken = |id| {
            let place = kept.iter().position(|kept| kept.alert.id == id);
            place.map(|place| kept.swap_remove(place))
        };
        match step {
            Step::Raise(episode) => raised::raise(conn, now, (rule, episode)).await?,
            Step::Keep { id, start, last, first } => {
                if let Some(kept) = taken(id) {
                    raised::keep_up(conn, now, kept, ((start, last), first)).await?;
                }
            }
            Step::Withdraw(id) => {
                if let Some(kept) = taken(id) {
                    raised::withdraw(conn, now, kept).await?;
                }
            }
        }
    }
    Ok(count)
}
