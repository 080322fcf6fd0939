//! A campaign set compiled for one vehicle: columns resolved, conditions as programs, caps set.
//!
//! What a campaign takes travels in the table `signals` under names of its own, so that a sample
//! says who asked for it and is never a double of the default collection:
//! `Vehicle.Speed#overheat`, `Vehicle.Speed#overheat.mean`, and one sample of value 1 for each
//! trigger, `Vehicle#overheat`.

mod compile;

use std::time::Duration;

use wire::{
    campaigns::SetHash,
    catalog::{CATALOG_BYTES_MAX, Catalog},
    ids::VehicleId,
    time::Timestamp,
};

use compile::Compiler;

use super::{
    CampaignError,
    program::Program,
    set::{Aggregate, Campaign, CampaignSet, Span},
};
use crate::spool::Priority;

/// Most campaigns of a set.
pub const CAMPAIGNS_MAX: usize = 64;
/// Most signals all campaigns of a set take together.
pub const ITEMS_MAX: usize = 2048;

/// The agent's own bounds of campaigns; a set cannot exceed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of the ring that holds what came before a trigger.
    pub ring_bytes_max: u64,
    /// Cap of all campaigns together in a UTC day of event time.
    pub bytes_per_day_max: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { ring_bytes_max: 4 << 20, bytes_per_day_max: 64 << 20 }
    }
}

/// A campaign set compiled for one vehicle.
#[derive(Debug)]
pub struct Plan {
    pub(super) set_id: String,
    pub(super) revision: u64,
    pub(super) hash: SetHash,
    /// The vehicle's columns and, after them, those of the campaigns.
    pub(super) catalog: Catalog,
    pub(super) campaigns: Vec<PlannedCampaign>,
    /// By column of the vehicle: who takes it, as (campaign, item).
    pub(super) routes: Vec<Vec<(usize, usize)>>,
    /// By column: campaigns whose conditions read it.
    pub(super) watchers: Vec<Vec<usize>>,
    /// By column: whether what came before may be asked for.
    pub(super) is_in_ring: Vec<bool>,
    /// By column: scale and offset of raw values.
    pub(super) scales: Vec<(f64, f64)>,
    pub(super) before_us_max: i64,
    pub(super) collects_changes: bool,
    pub(super) bounds: Bounds,
}

#[derive(Debug)]
pub(super) struct PlannedCampaign {
    pub(super) definition: Campaign,
    pub(super) trigger: Option<Trigger>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) stale_us: i64,
    pub(super) bytes_per_day_max: u64,
    pub(super) items: Vec<Item>,
}

/// What makes a campaign collect.
#[derive(Debug)]
pub(super) struct Trigger {
    pub(super) when: Program,
    pub(super) until: Option<Program>,
    pub(super) min_interval_us: i64,
    pub(super) before_us: i64,
    pub(super) after_us: i64,
    /// The column each trigger is told in.
    pub(super) column_id: u32,
}

/// One signal of a campaign.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) source: u32,
    pub(super) rule: Rule,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    All { column_id: u32, one_of: u32, min_interval_us: i64 },
    Change { column_id: u32, dead_band: f64, min_interval_us: i64 },
    Every { column_id: u32, interval_us: i64 },
    Aggregate { interval_us: i64, columns: Vec<(Aggregate, u32)> },
}

/// One line of what a plan collects, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanLine {
    /// The campaign.
    pub campaign: String,
    /// When it collects.
    pub when: String,
    /// Which samples.
    pub what: String,
    /// What they go by.
    pub signals: Vec<String>,
}

impl Plan {
    /// Compiles a set for the vehicle whose columns are those of `catalog`, telling every fault
    /// at once.
    pub fn compile(
        set: &CampaignSet,
        vehicle_id: &VehicleId,
        catalog: &Catalog,
        bounds: Bounds,
    ) -> Result<Self, CampaignError> {
        if !set.vehicles.is_empty() && !set.vehicles.contains(vehicle_id) {
            return Err(CampaignError::OtherVehicle { vehicle_id: vehicle_id.clone() });
        }
        let len = catalog.columns.iter().map(|c| c.column_id as usize + 1).max().unwrap_or(0);
        let mut scales = vec![(1.0, 0.0); len];
        for column in &catalog.columns {
            scales[column.column_id as usize] = (column.scale, column.offset);
        }
        let set_cap = set.bytes_per_day_max.map_or(u64::MAX, |b| b.0);
        let plan = Self {
            set_id: set.id.clone(),
            revision: set.revision,
            hash: set.hash,
            catalog: catalog.clone(),
            campaigns: Vec::new(),
            routes: vec![Vec::new(); len],
            watchers: vec![Vec::new(); len],
            is_in_ring: vec![false; len],
            scales,
            before_us_max: 0,
            collects_changes: set.collect_changes,
            bounds: Bounds { bytes_per_day_max: bounds.bytes_per_day_max.min(set_cap), ..bounds },
        };
        let mut compiler = Compiler { base: catalog, plan, item_count: 0, faults: Vec::new() };
        compiler.set(set);
        let Compiler { plan, mut faults, .. } = compiler;
        let bytes = plan.catalog.encode().len();
        if bytes > CATALOG_BYTES_MAX {
            faults.push(format!("its catalogue of {bytes} bytes is over the limit of {CATALOG_BYTES_MAX}; collect fewer signals"));
        }
        if faults.is_empty() { Ok(plan) } else { Err(CampaignError::Faults { faults }) }
    }

    /// What its column ids mean.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Of the set's text.
    pub fn hash(&self) -> SetHash {
        self.hash
    }

    /// What it collects, for people.
    pub fn lines(&self) -> Vec<PlanLine> {
        self.campaigns.iter().flat_map(|c| c.lines(&self.catalog)).collect()
    }
}

impl PlannedCampaign {
    fn lines<'a>(&'a self, catalog: &'a Catalog) -> impl Iterator<Item = PlanLine> + 'a {
        let d = &self.definition;
        let when = match (&d.when, &self.trigger) {
            (Some(when), Some(t)) => {
                let span = if d.span == Span::While { "while" } else { "at" };
                #[allow(clippy::cast_precision_loss, reason = "for people")]
                let seconds = |us: i64| us as f64 / 1e6;
                format!("{span} {when}, {} s before, {} s after", seconds(t.before_us), seconds(t.after_us))
            }
            _ => "always".to_owned(),
        };
        self.items.iter().map(move |item| {
            let seconds = |us: &i64| Duration::from_micros(us.unsigned_abs()).as_secs_f64();
            let (what, ids) = match &item.rule {
                Rule::All { column_id, one_of, .. } => (format!("one of {one_of} samples"), vec![*column_id]),
                Rule::Change { column_id, dead_band, .. } => {
                    (format!("changes greater than {dead_band}"), vec![*column_id])
                }
                Rule::Every { column_id, interval_us } => {
                    (format!("every {} s", seconds(interval_us)), vec![*column_id])
                }
                Rule::Aggregate { interval_us, columns } => {
                    (format!("over {} s", seconds(interval_us)), columns.iter().map(|c| c.1).collect())
                }
            };
            let name = |id: u32| catalog.column(id).map_or_else(String::new, |c| c.signal.clone());
            let signals = ids.into_iter().map(name).collect();
            PlanLine { campaign: d.name.clone(), when: when.clone(), what, signals }
        })
    }
}

impl Priority {
    /// The share of the set's daily cap, in percent, that it may spend into.
    pub(super) fn share_percent(self) -> u64 {
        match self {
            Priority::High => 100,
            Priority::Normal => 90,
            Priority::Low => 70,
        }
    }
}
