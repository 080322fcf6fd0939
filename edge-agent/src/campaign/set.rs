//! A campaign set as written, in TOML or JSON; configs/campaigns/schema.json describes it.

use serde::Deserialize;
use service::config::{ByteSize, DurationText};
use wire::{campaigns::SetHash, ids::VehicleId, time::Timestamp};

use super::CampaignError;
use crate::spool::{CatchUp, Priority};

/// The version every set carries.
pub const SET_VERSION: i64 = 1;

/// A campaign set as written, not yet checked against a vehicle.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignSet {
    /// [`SET_VERSION`].
    pub version: i64,
    /// What its author calls it, 1 to 64 of `[a-z0-9-]`.
    pub id: String,
    /// Rises with every change of a signed set.
    pub revision: u64,
    /// The vehicles it is for; empty for every one it is delivered to.
    #[serde(default)]
    pub vehicles: Vec<VehicleId>,
    /// Whether what changes goes to `signals` by default, beside the campaigns.
    #[serde(default = "yes")]
    pub collect_changes: bool,
    /// Cap of all campaigns together in a UTC day of event time.
    pub bytes_per_day_max: Option<ByteSize>,
    /// The campaigns.
    #[serde(default)]
    pub campaign: Vec<Campaign>,
    /// Of its text.
    #[serde(skip)]
    pub hash: SetHash,
}

fn yes() -> bool {
    true
}

/// One campaign as written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// 1 to 32 of `[a-z0-9-]`, part of the names its samples go by.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Who goes on when the set's daily cap comes near, is sent first and given up last.
    #[serde(default)]
    pub priority: Priority,
    /// What is sent first after an outage; `[uplink] catch_up` when nothing is said.
    pub catch_up: Option<CatchUp>,
    /// Its own cap in a UTC day of event time.
    pub bytes_per_day_max: Option<ByteSize>,
    /// No collection before.
    pub not_before: Option<Timestamp>,
    /// No collection from then on.
    pub not_after: Option<Timestamp>,
    /// The condition that triggers it; without one it always collects.
    pub when: Option<String>,
    /// The condition that must come before it can trigger again; without one, that `when` is not true.
    pub until: Option<String>,
    /// Least time between two triggers.
    pub min_interval: Option<DurationText>,
    /// Time before a trigger that is collected too.
    pub before: Option<DurationText>,
    /// Time after a trigger (or, with `span = "while"`, after its end) that is collected.
    pub after: Option<DurationText>,
    /// How long it collects.
    #[serde(default)]
    pub span: Span,
    /// Age at which a value no longer counts in conditions and in `take = "every"`.
    pub stale_after: Option<DurationText>,
    /// What it collects.
    #[serde(default)]
    pub collect: Vec<Collect>,
}

/// How long a triggered campaign collects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// From `before` to `after` around the trigger.
    #[default]
    Window,
    /// While the condition holds, and `after` more.
    While,
}

/// Signals and which of their samples are taken.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collect {
    /// VSS paths; a last `*` stands for any rest.
    pub signals: Vec<String>,
    /// Which samples.
    #[serde(default)]
    pub take: Take,
    /// `all`: every how many samples one is taken.
    pub one_of: Option<u32>,
    /// `all`, `change`: least time between two samples.
    pub min_interval: Option<DurationText>,
    /// `change`: a change must be greater, as in `"0.5 km/h"`.
    pub dead_band: Option<String>,
    /// `every`, `aggregate`: the grid of event time.
    pub interval: Option<DurationText>,
    /// `aggregate`: which.
    pub of: Option<Vec<Aggregate>>,
}

/// Which samples of a signal are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// Each, or one of so many.
    #[default]
    All,
    /// Those that differ from the last one taken.
    Change,
    /// The value known at each multiple of an interval.
    Every,
    /// What the samples of an interval amount to.
    Aggregate,
}

/// What the samples of an interval amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The least.
    Min,
    /// The arithmetic mean of the samples.
    Mean,
    /// The greatest.
    Max,
}

impl Aggregate {
    /// As in names.
    pub fn name(self) -> &'static str {
        match self {
            Aggregate::Min => "min",
            Aggregate::Mean => "mean",
            Aggregate::Max => "max",
        }
    }
}

impl CampaignSet {
    /// Reads the text of a set: JSON when it begins with `{`, else TOML.
    pub fn parse(text: &str) -> Result<Self, CampaignError> {
        let failed = |message: String| CampaignError::Parse { message: message.trim_end().to_owned() };
        let mut set: Self = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| failed(error.to_string()))?
        } else {
            toml::from_str(text).map_err(|error| failed(error.to_string()))?
        };
        if set.version != SET_VERSION {
            return Err(failed(format!(
                "version = {} is not known to this release; write version = {SET_VERSION}",
                set.version
            )));
        }
        set.hash = SetHash::of(text);
        Ok(set)
    }
}
