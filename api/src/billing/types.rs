//! What the billing domain shows: invoices, lines and their evidence. Tariffs are in `tariff.rs`.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{ids::VehicleId, time::Timestamp};

use super::{charges::Charge, notes::Note, rating::MonthShare, tariff::ComponentType};
use crate::ids::{InvoiceId, LineId, OrganizationId, TariffId, TripId};

/// Whether an invoice may still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    /// Lines come and go as trips are rated.
    Draft,
    /// Numbered and final; corrections are notes.
    Finalized,
    /// Final, and nothing of it was due when it was paid.
    Paid,
    /// Issued in error: nobody owes it, and its trips are billed anew.
    Void,
}

impl InvoiceStatus {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Finalized => "finalized",
            Self::Paid => "paid",
            Self::Void => "void",
        }
    }
}

/// An invoice without its lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Invoice {
    /// `inv_…`
    #[schema(value_type = String)]
    pub id: InvoiceId,
    /// Given at finalization: `RL-000001`, without holes.
    pub number: Option<String>,
    /// Who pays.
    #[schema(value_type = String)]
    pub organization_id: OrganizationId,
    /// Its name.
    pub organization_name: String,
    /// Draft, finalized, paid or void.
    pub status: InvoiceStatus,
    /// Start of the calendar month in the organization's zone.
    #[schema(value_type = String, format = DateTime)]
    pub period_start: Timestamp,
    /// Start of the next month.
    #[schema(value_type = String, format = DateTime)]
    pub period_end: Timestamp,
    /// The organization's zone, by which the month is cut.
    pub time_zone: String,
    /// ISO 4217.
    pub currency: String,
    /// Digits after the point of that currency.
    pub currency_exponent: u32,
    /// Sum of the lines and charges, without tax.
    pub subtotal_minor: i64,
    /// Tax on it.
    pub tax_minor: i64,
    /// Both.
    pub total_minor: i64,
    /// Tax by rate: of the lines rounded once, of the charges as it was.
    #[serde(default)]
    pub taxes: Vec<TaxLine>,
    /// Totals of its notes: credits negative, debits positive.
    #[serde(default)]
    pub noted_minor: i64,
    /// What was paid of it, less what was refunded.
    #[serde(default)]
    pub paid_minor: i64,
    /// What is still to be paid: total and notes less payments; 0 of a draft or void one.
    #[serde(default)]
    pub due_minor: i64,
    /// Lines and charges that count.
    pub line_count: i64,
    /// Rises by one with each change; also its ETag.
    pub version: i64,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it became final.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finalized_at: Option<Timestamp>,
    /// When it was paid.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub paid_at: Option<Timestamp>,
    /// When it was made void.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub voided_at: Option<Timestamp>,
    /// Why it was made void.
    #[serde(default)]
    pub void_reason: Option<String>,
    /// When it has to be paid: the end of a day in its zone. None of a draft, nor of what was made final before there
    /// were due dates.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// Whether something of it is due and was not paid by then.
    #[serde(default)]
    pub is_overdue: bool,
    /// Since when.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub overdue_at: Option<Timestamp>,
    /// When dunning gave it up, if it did; it can still be paid.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub uncollectible_at: Option<Timestamp>,
}

/// Tax of one rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaxLine {
    /// The rate.
    #[schema(value_type = String, example = "25")]
    pub tax_percent: Decimal,
    /// Sum of the lines of that rate.
    pub taxable_minor: i64,
    /// Tax on that sum, rounded once.
    pub tax_minor: i64,
}

/// An invoice with its lines.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct InvoiceWithLines {
    /// The invoice.
    #[serde(flatten)]
    pub invoice: Invoice,
    /// Its lines, in order of the trips' starts.
    pub lines: Vec<Line>,
    /// What else is owed, such as what the wallet had not for a booking.
    pub charges: Vec<Charge>,
    /// What corrected it after it became final, oldest first.
    pub notes: Vec<Note>,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// A component of a trip.
    Usage,
    /// The difference to what a final invoice billed for it.
    Correction,
}

impl LineKind {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Correction => "correction",
        }
    }
}

/// One line: one component of the tariff for one trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    /// `inl_…`
    #[schema(value_type = String)]
    pub id: LineId,
    /// Usage or correction.
    pub kind: LineKind,
    /// The trip it bills.
    #[schema(value_type = String)]
    pub trip_id: TripId,
    /// The revision of the trip.
    pub trip_revision: i64,
    /// When the trip started.
    #[schema(value_type = String, format = DateTime)]
    pub trip_start_time: Timestamp,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub trip_end_time: Timestamp,
    /// Telemetry id.
    #[schema(value_type = String)]
    pub vehicle_id: VehicleId,
    /// For people.
    pub description: String,
    /// Which component of the tariff.
    pub component: ComponentType,
    /// How much, at most 6 decimals.
    #[schema(value_type = String, example = "12.345")]
    pub quantity: Decimal,
    /// `trip`, `km`, `h` or `kWh`.
    pub unit: String,
    /// For one unit.
    #[schema(value_type = String, example = "0.29")]
    pub unit_price: Decimal,
    /// What it costs, without tax; of a correction, the difference.
    pub amount_minor: i64,
    /// What earlier final invoices billed for it; 0 unless a correction.
    pub billed_before_minor: i64,
    /// The line a correction corrects.
    #[schema(value_type = Option<String>)]
    pub corrects_line_id: Option<LineId>,
    /// The trip's part of its month, where the tariff has tiers for the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<MonthShare>,
    /// Tax on it.
    #[schema(value_type = String, example = "25")]
    pub tax_percent: Decimal,
    /// The tariff that rated it.
    #[schema(value_type = String)]
    pub tariff_id: TariffId,
    /// The version of that tariff.
    pub tariff_version: i64,
    /// The version of the lake's `trips` table that carries the trip's revision.
    pub lake_version: i64,
    /// The query that reads it there.
    pub evidence_sql: String,
    /// SHA-256 of the rows it read when rated, in canonical JSON.
    pub row_hash: String,
}

/// The proof of a line: its query run again, and the amount made from the answer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Evidence {
    /// The query.
    pub sql: String,
    /// The version of `trips` it ran at.
    pub lake_version: i64,
    /// The tariff.
    #[schema(value_type = String)]
    pub tariff_id: TariffId,
    /// The version of the tariff.
    pub tariff_version: i64,
    /// What it read: an object a row.
    #[schema(value_type = Vec<Object>)]
    pub rows: Vec<serde_json::Map<String, serde_json::Value>>,
    /// SHA-256 of those rows, now.
    pub row_hash: String,
    /// Whether that is the hash on the line.
    pub row_hash_matches: bool,
    /// The amount made from the rows now.
    pub amount_minor_recomputed: i64,
    /// The amount on the line.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Whether hash and amount are those of the line.
    pub agrees: bool,
}

/// A month to open an invoice for.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvoice {
    /// Who pays.
    pub organization_id: String,
    /// Start of a calendar month in the organization's zone.
    pub period_start: String,
    /// Start of the next one.
    pub period_end: String,
}

/// Which invoices to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct InvoiceQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// `draft`, `finalized`, `paid` or `void`.
    pub status: Option<String>,
    /// Only those that are overdue, or only those that are not.
    pub is_overdue: Option<bool>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
