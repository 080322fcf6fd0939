//! From a set as it is written to what an engine runs, telling every fault.

use std::time::Duration;

use service::{clock::micros, config::DurationText};
use wire::{
    batch::Table,
    catalog::{Catalog, ColumnDef, ValueKind},
    time::Timestamp,
    units,
};

use super::{CAMPAIGNS_MAX, ITEMS_MAX, Item, Plan, PlannedCampaign, Rule, Trigger};
use crate::campaign::{
    check::{column_of, condition},
    parse::{parse, quantity},
    program::Program,
    set::{Aggregate, Campaign, CampaignSet, Collect, Span, Take},
};

/// Longest `before`.
const BEFORE_MAX: Duration = Duration::from_secs(600);
/// Longest of every other time.
const TIME_MAX: Duration = Duration::from_secs(86_400);
/// Shortest grid.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
const STALE_AFTER: Duration = Duration::from_secs(60);

/// A set being compiled.
pub(super) struct Compiler<'a> {
    pub(super) base: &'a Catalog,
    pub(super) plan: Plan,
    pub(super) item_count: usize,
    pub(super) faults: Vec<String>,
}

impl Compiler<'_> {
    pub(super) fn set(&mut self, set: &CampaignSet) {
        if !is_name(&set.id, 64) {
            self.faults.push(format!("id {:?} must be 1 to 64 of a-z, 0-9 and '-'", set.id));
        }
        if set.campaign.len() > CAMPAIGNS_MAX {
            let count = set.campaign.len();
            self.faults.push(format!("{count} campaigns are over the limit of {CAMPAIGNS_MAX}"));
            return;
        }
        for (i, campaign) in set.campaign.iter().enumerate() {
            if set.campaign.iter().take(i).any(|other| other.name == campaign.name) {
                self.faults.push(format!("campaign {:?} is there twice; rename one", campaign.name));
            }
            self.campaign(i, campaign);
        }
    }

    fn fault(&mut self, campaign: &Campaign, text: &str) {
        self.faults.push(format!("campaign {}: {text}", campaign.name));
    }

    fn campaign(&mut self, index: usize, campaign: &Campaign) {
        if !is_name(&campaign.name, 32) {
            self.fault(campaign, "its name must be 1 to 32 of a-z, 0-9 and '-'");
        }
        let trigger = self.trigger(campaign);
        let stale_us =
            self.time(campaign, "stale_after", campaign.stale_after, TIME_MAX).unwrap_or(micros(STALE_AFTER));
        let mut items = Vec::new();
        if campaign.collect.is_empty() && campaign.when.is_none() {
            self.fault(campaign, "it collects nothing; add a [[campaign.collect]] or a `when`");
        }
        for collect in &campaign.collect {
            self.collect(campaign, collect, &mut items);
        }
        for (item, planned) in items.iter().enumerate() {
            let source = planned.source as usize;
            self.plan.routes[source].push((index, item));
            self.plan.is_in_ring[source] |= trigger.as_ref().is_some_and(|t| t.before_us > 0);
        }
        if let Some(trigger) = &trigger {
            self.plan.before_us_max = self.plan.before_us_max.max(trigger.before_us);
            let reads = trigger.when.reads.iter().chain(trigger.until.iter().flat_map(|p| &p.reads));
            for column in reads {
                let watchers = &mut self.plan.watchers[*column as usize];
                if watchers.last() != Some(&index) {
                    watchers.push(index);
                }
            }
        }
        self.plan.campaigns.push(PlannedCampaign {
            definition: campaign.clone(),
            trigger,
            not_before: campaign.not_before.unwrap_or(Timestamp(i64::MIN)),
            not_after: campaign.not_after.unwrap_or(Timestamp(i64::MAX)),
            stale_us,
            bytes_per_day_max: campaign.bytes_per_day_max.map_or(u64::MAX, |b| b.0),
            items,
        });
    }

    fn trigger(&mut self, campaign: &Campaign) -> Option<Trigger> {
        let min_interval = self.time(campaign, "min_interval", campaign.min_interval, TIME_MAX);
        let before = self.time(campaign, "before", campaign.before, BEFORE_MAX);
        let after = self.time(campaign, "after", campaign.after, TIME_MAX);
        let Some(when) = &campaign.when else {
            let has_any = min_interval.or(before).or(after).is_some() || campaign.until.is_some();
            if has_any || campaign.span == Span::While {
                self.fault(
                    campaign,
                    "until, min_interval, before, after and span are of a trigger; add `when`",
                );
            }
            return None;
        };
        let when = self.condition(campaign, "when", when);
        let until = campaign.until.as_ref().map(|text| self.condition(campaign, "until", text));
        let column_id =
            self.column(format!("Vehicle#{}", campaign.name), String::new(), (ValueKind::Raw, 1.0, 0.0), &[]);
        let until = match until {
            None => None,
            Some(program) => Some(program?),
        };
        Some(Trigger {
            when: when?,
            until,
            min_interval_us: min_interval.unwrap_or(0),
            before_us: before.unwrap_or(0),
            after_us: after.unwrap_or(0),
            column_id,
        })
    }

    fn condition(&mut self, campaign: &Campaign, key: &str, text: &str) -> Option<Program> {
        let program = parse(text).and_then(|expr| condition(&expr, self.base));
        program.map_err(|error| self.fault(campaign, &format!("{key}, {error}"))).ok()
    }

    fn time(
        &mut self,
        campaign: &Campaign,
        key: &str,
        text: Option<DurationText>,
        max: Duration,
    ) -> Option<i64> {
        let duration = text?.0;
        if duration > max {
            self.fault(campaign, &format!("{key} is longer than {} s", max.as_secs()));
        }
        Some(micros(duration))
    }

    fn collect(&mut self, campaign: &Campaign, collect: &Collect, items: &mut Vec<Item>) {
        let is_foreign = match collect.take {
            Take::All => collect.dead_band.is_some() || collect.interval.is_some() || collect.of.is_some(),
            Take::Change => collect.one_of.is_some() || collect.interval.is_some() || collect.of.is_some(),
            Take::Every => {
                collect.one_of.is_some()
                    || collect.of.is_some()
                    || collect.dead_band.is_some()
                    || collect.min_interval.is_some()
            }
            Take::Aggregate => {
                collect.one_of.is_some() || collect.dead_band.is_some() || collect.min_interval.is_some()
            }
        };
        if is_foreign {
            self.fault(
                campaign,
                "one_of and min_interval are of take = \"all\", dead_band and min_interval of \"change\", \
                 interval of \"every\" and \"aggregate\", `of` of \"aggregate\"",
            );
        }
        let interval = self.time(campaign, "interval", collect.interval, TIME_MAX);
        let is_on_grid = matches!(collect.take, Take::Every | Take::Aggregate);
        if is_on_grid && interval.is_none_or(|us| us < micros(INTERVAL_MIN)) {
            self.fault(campaign, "`interval` must be given, of at least 10ms");
            return;
        }
        if collect.take == Take::Aggregate && collect.of.as_ref().is_none_or(Vec::is_empty) {
            self.fault(campaign, "`of` must name at least one of \"min\", \"mean\" and \"max\"");
        }
        if collect.take == Take::Aggregate && campaign.before.is_some() {
            self.fault(campaign, "aggregates have no `before`; take \"all\" or \"every\" instead");
        }
        let sources = self.sources(campaign, collect);
        self.item_count += sources.len();
        if self.item_count > ITEMS_MAX {
            self.fault(campaign, &format!("the set takes more than {ITEMS_MAX} signals"));
            return;
        }
        for source in sources {
            if items.iter().any(|item| item.source == source.column_id) {
                self.fault(campaign, &format!("{} is taken twice; take it once", source.signal));
                continue;
            }
            let interval_us = interval.unwrap_or(0);
            if let Some(rule) = self.rule(campaign, collect, &source, interval_us) {
                items.push(Item { source: source.column_id, rule });
            }
        }
    }

    /// The columns a list of paths names.
    fn sources(&mut self, campaign: &Campaign, collect: &Collect) -> Vec<ColumnDef> {
        let mut sources = Vec::new();
        for path in &collect.signals {
            let before = sources.len();
            if let Some(prefix) = path.strip_suffix('*') {
                let below = self.base.columns.iter().filter(|c| c.signal.starts_with(prefix));
                sources.extend(below.filter(|c| c.table != Table::Diagnostics).cloned());
                if sources.len() == before {
                    self.fault(campaign, &format!("{path} matches no signal of this vehicle's maps"));
                }
            } else {
                match column_of(self.base, path) {
                    Ok(def) => sources.push(def.clone()),
                    Err(message) => self.fault(campaign, &message),
                }
            }
        }
        if collect.signals.is_empty() {
            self.fault(campaign, "`signals` names no signal");
        }
        sources
    }

    fn rule(
        &mut self,
        campaign: &Campaign,
        collect: &Collect,
        source: &ColumnDef,
        interval_us: i64,
    ) -> Option<Rule> {
        let name = format!("{}#{}", source.signal, campaign.name);
        let min_interval_us =
            self.time(campaign, "min_interval", collect.min_interval, TIME_MAX).unwrap_or(0);
        let as_it_is = (source.kind, source.scale, source.offset);
        let own = |compiler: &mut Self| {
            compiler.column(name.clone(), source.unit.clone(), as_it_is, &source.labels)
        };
        Some(match collect.take {
            Take::All => {
                let one_of = collect.one_of.unwrap_or(1).max(1);
                Rule::All { column_id: own(self), one_of, min_interval_us }
            }
            Take::Change => {
                let dead_band = match &collect.dead_band {
                    None => 0.0,
                    Some(text) => self.dead_band(campaign, source, text)?,
                };
                Rule::Change { column_id: own(self), dead_band, min_interval_us }
            }
            Take::Every => Rule::Every { column_id: own(self), interval_us },
            Take::Aggregate => {
                let mut columns: Vec<(Aggregate, u32)> = Vec::new();
                for aggregate in collect.of.iter().flatten().copied() {
                    if columns.iter().all(|c| c.0 != aggregate) {
                        let name = format!("{name}.{}", aggregate.name());
                        let number = (ValueKind::Number, 1.0, 0.0);
                        columns.push((aggregate, self.column(name, source.unit.clone(), number, &[])));
                    }
                }
                Rule::Aggregate { interval_us, columns }
            }
        })
    }

    /// A quantity as a difference in the signal's unit.
    fn dead_band(&mut self, campaign: &Campaign, source: &ColumnDef, text: &str) -> Option<f64> {
        match quantity(text) {
            Err(error) => self.fault(campaign, &format!("dead_band, {error}")),
            Ok((value, unit)) => {
                let unit = unit.unwrap_or_default();
                if let Some(conversion) = units::conversion(&unit, &source.unit) {
                    return Some(value * conversion.scale);
                }
                let text = format!("dead_band {text:?} is not in {:?} of {}", source.unit, source.signal);
                self.fault(campaign, &text);
            }
        }
        None
    }

    /// A new column of the table `signals`.
    fn column(
        &mut self,
        signal: String,
        unit: String,
        (kind, scale, offset): (ValueKind, f64, f64),
        labels: &[(i64, String)],
    ) -> u32 {
        let columns = &mut self.plan.catalog.columns;
        let column_id = columns.last().map_or(0, |c| c.column_id + 1);
        let labels = labels.to_vec();
        columns.push(ColumnDef {
            column_id,
            table: Table::Signals,
            signal,
            unit,
            scale,
            offset,
            kind,
            labels,
        });
        column_id
    }
}

fn is_name(text: &str, len_max: usize) -> bool {
    (1..=len_max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
