//! Rules and alerts, as clients see them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    extract::given,
    ids::{AlertId, AlertRuleId, OrganizationId},
};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertSeverity {
    /// Good to know.
    Info,
    /// To be looked at today.
    #[default]
    Warning,
    /// To be looked at now.
    Critical,
}

impl AlertSeverity {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A condition on vehicles, as a query of the lake, by which alerts are raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertRule {
    /// `alr_…`
    #[schema(value_type = String)]
    pub id: AlertRuleId,
    /// Whose vehicles it is for; null for those of everybody.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// For people.
    #[schema(example = "Faster than 130 km/h")]
    pub name: String,
    /// For people: what to do about it.
    pub description: Option<String>,
    /// How bad it is.
    pub severity: AlertSeverity,
    /// A `SELECT` with a row for each moment at which it is so: `vehicle_id`, `ts`, if it has any a number as `value`,
    /// a text as `message` and what of the vehicle it is of as `key`, and whatever else is to be told.
    #[schema(example = "SELECT vehicle_id, ts, speed_kmh AS value FROM readings WHERE speed_kmh > 130")]
    pub query: String,
    /// How far before a moment the query looks, in seconds.
    pub look_back_s: i64,
    /// How far after it: a moment is told of when so much later is known.
    pub look_ahead_s: i64,
    /// Moments at most so many seconds apart are one alert, which ends after as many without one.
    pub quiet_s: i64,
    /// What lasts less is no alert.
    pub min_duration_s: i64,
    /// Whether people are told in the application when one is raised. Webhooks are told in any case.
    pub notify: bool,
    /// Nothing is asked by one that is not.
    pub is_enabled: bool,
    /// The tables that the query reads.
    pub reads: Vec<String>,
    /// Rises with each change; also the ETag.
    pub version: i64,
    /// The version at which what it asks was changed last, or it was enabled: alerts are of one of these.
    pub asked_version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// How far a rule has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertRuleProgress {
    /// When it was asked last; null before.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub evaluated_at: Option<Timestamp>,
    /// Why it could not be asked then; null when it could. What is new since is asked when it can.
    pub fault: Option<String>,
    /// Its alerts that are open.
    pub open_count: i64,
}

/// A rule and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlertRuleState {
    /// The rule.
    #[serde(flatten)]
    pub rule: AlertRule,
    /// How far it has come.
    #[serde(flatten)]
    pub progress: AlertRuleProgress,
}

/// A rule to make.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAlertRule {
    /// For people.
    #[schema(example = "Faster than 130 km/h")]
    pub name: String,
    /// For people: what to do about it.
    #[serde(default)]
    pub description: Option<String>,
    /// `info`, `warning` (when absent) or `critical`.
    #[serde(default)]
    pub severity: Option<AlertSeverity>,
    /// A `SELECT` with `vehicle_id` and `ts`, and if you like `value`, `message` and more.
    #[schema(example = "SELECT vehicle_id, ts, speed_kmh AS value FROM readings WHERE speed_kmh > 130")]
    pub query: String,
    /// 0 to 604,800; 3,600 when absent.
    #[serde(default)]
    pub look_back_s: Option<i64>,
    /// 0 to 86,400; 0 when absent. Of a query that groups by time as long as its buckets.
    #[serde(default)]
    pub look_ahead_s: Option<i64>,
    /// 1 to 86,400; 600 when absent.
    #[serde(default)]
    pub quiet_s: Option<i64>,
    /// 0 to 86,400; 0 when absent.
    #[serde(default)]
    pub min_duration_s: Option<i64>,
    /// True when absent.
    #[serde(default)]
    pub notify: Option<bool>,
    /// True when absent.
    #[serde(default)]
    pub is_enabled: Option<bool>,
    /// Whose; the caller's own organization when absent.
    #[serde(default)]
    pub organization_id: Option<String>,
}

/// What to change of a rule; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertRulePatch {
    /// For people.
    #[serde(default)]
    pub name: Option<String>,
    /// For people; null for nothing.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub description: Option<Option<String>>,
    /// How bad it is.
    #[serde(default)]
    pub severity: Option<AlertSeverity>,
    /// What it asks. Alerts that are open end, and what is new from then on is asked.
    #[serde(default)]
    pub query: Option<String>,
    /// As of a new one.
    #[serde(default)]
    pub look_back_s: Option<i64>,
    /// As of a new one.
    #[serde(default)]
    pub look_ahead_s: Option<i64>,
    /// As of a new one.
    #[serde(default)]
    pub quiet_s: Option<i64>,
    /// As of a new one.
    #[serde(default)]
    pub min_duration_s: Option<i64>,
    /// Whether people are told in the application.
    #[serde(default)]
    pub notify: Option<bool>,
    /// Whether it is asked. Its alerts end when it is not, and what comes meanwhile is not asked afterwards.
    #[serde(default)]
    pub is_enabled: Option<bool>,
}

/// Which rules to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AlertRuleQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A rule to try on what was.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertRuleTrial {
    /// As of a rule.
    #[schema(example = "SELECT vehicle_id, ts, speed_kmh AS value FROM readings WHERE speed_kmh > 130")]
    pub query: String,
    /// RFC 3339.
    #[schema(example = "2026-11-01T00:00:00Z")]
    pub from: String,
    /// RFC 3339, at most 92 days later.
    #[schema(example = "2026-12-01T00:00:00Z")]
    pub to: String,
    /// As of a rule.
    #[serde(default)]
    pub look_back_s: Option<i64>,
    /// As of a rule.
    #[serde(default)]
    pub look_ahead_s: Option<i64>,
    /// As of a rule.
    #[serde(default)]
    pub quiet_s: Option<i64>,
    /// As of a rule.
    #[serde(default)]
    pub min_duration_s: Option<i64>,
    /// Whose vehicles; the caller's own organization's when absent.
    #[serde(default)]
    pub organization_id: Option<String>,
}

/// What a rule would have raised.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AlertTrialResult {
    /// The tables that the query reads.
    pub reads: Vec<String>,
    /// How many alerts it would have been.
    pub alert_count: usize,
    /// Whether there would have been more than are looked at (10,000): then they are counted up to there.
    pub is_truncated: bool,
    /// By UTC day on which they began, in order; days with none are left out.
    pub days: Vec<AlertTrialDay>,
    /// By vehicle, those with the most first.
    pub vehicles: Vec<AlertTrialVehicle>,
    /// The first 200, by time.
    pub alerts: Vec<AlertTrialAlert>,
}

/// What it would have raised on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlertTrialDay {
    /// `2026-11-24`
    #[schema(value_type = String, format = Date)]
    pub date: String,
    /// So many.
    pub alert_count: usize,
}

/// What it would have raised of a vehicle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlertTrialVehicle {
    /// Telemetry id.
    #[schema(value_type = String)]
    pub vehicle_id: VehicleId,
    /// So many.
    pub alert_count: usize,
}

/// An alert that it would have raised.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AlertTrialAlert {
    /// Telemetry id.
    #[schema(value_type = String)]
    pub vehicle_id: VehicleId,
    /// Of what of it, where the rule tells.
    pub key: Option<String>,
    /// The first moment at which it was so.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// The last.
    #[schema(value_type = String, format = DateTime)]
    pub last_at: Timestamp,
    /// Of the first moment.
    pub value: Option<f64>,
    /// Of the first moment.
    pub message: Option<String>,
    /// Of the first moment.
    #[schema(value_type = Object)]
    pub details: Map<String, Value>,
}

/// Where an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    /// It is so, as far as is known.
    Open,
    /// It was so.
    Ended,
    /// It was not so: later data said otherwise, or told of it within another.
    Withdrawn,
}

impl AlertStatus {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Ended => "ended",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl FromStr for AlertStatus {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Open, Self::Ended, Self::Withdrawn].into_iter().find(|s| s.as_str() == text).ok_or(())
    }
}

/// A time in which a rule was so of a vehicle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// `alt_…`
    #[schema(value_type = String)]
    pub id: AlertId,
    /// `alr_…`
    #[schema(value_type = String)]
    pub rule_id: AlertRuleId,
    /// Of which of its queries (`asked_version`).
    pub asked_version: i64,
    /// The rule's name then.
    pub rule_name: String,
    /// How bad the rule says it is.
    pub severity: AlertSeverity,
    /// Whose; null for the operator's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// Telemetry id.
    #[schema(value_type = String)]
    pub vehicle_id: VehicleId,
    /// Of what of it, where the rule tells: a trouble code, an area.
    pub key: Option<String>,
    /// Where it is.
    pub status: AlertStatus,
    /// The first moment at which it was so.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// The last that is known.
    #[schema(value_type = String, format = DateTime)]
    pub last_at: Timestamp,
    /// The `value` of the first moment.
    pub value: Option<f64>,
    /// The `message` of the first moment.
    pub message: Option<String>,
    /// What else the query told of the first moment.
    #[schema(value_type = Object)]
    pub details: Map<String, Value>,
    /// When it was raised, by our clock.
    #[schema(value_type = String, format = DateTime)]
    pub raised_at: Timestamp,
    /// When somebody took it on; null while nobody has.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub acknowledged_at: Option<Timestamp>,
    /// Who: a key's or a person's id, `operator` or `local`.
    pub acknowledged_by: Option<String>,
    /// What they said.
    pub note: Option<String>,
    /// Rises with each event of it; also the ETag.
    pub version: i64,
}

/// Which alerts to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AlertQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// Only of this rule.
    pub rule_id: Option<String>,
    /// Only of this vehicle: telemetry id or `veh_…`.
    pub vehicle_id: Option<String>,
    /// Only these: `open`, `ended` or `withdrawn`; when absent all but those that are withdrawn.
    #[param(inline)]
    pub status: Option<AlertStatus>,
    /// Only those that somebody has taken on, or nobody has.
    pub is_acknowledged: Option<bool>,
    /// Only those that lasted until then or later: RFC 3339.
    pub from: Option<String>,
    /// Only those that began before: RFC 3339.
    pub to: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// What somebody says who takes an alert on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertAcknowledgement {
    /// For people, at most 2,000 characters.
    #[serde(default)]
    pub note: Option<String>,
}
