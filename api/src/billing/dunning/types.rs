//! What dunning shows and takes: the policy, and how far the dunning of an invoice is.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::time::Timestamp;

use super::schedule;
use crate::{
    billing::payment_types::{MethodKind, PaymentStatus},
    ids::{InvoiceId, OrganizationId, PaymentId},
};

/// One thing that a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DunningAction {
    /// Charges what is due: to the wallet where it has all of it, or else to the card of the invoice's last payment.
    RetryPayment,
    /// Owes the policy's late fee, on the organization's next invoice.
    LateFee,
    /// Refuses new bookings of the organization until the invoice is paid.
    SuspendBookings,
    /// Marks the invoice as one that nobody expects to be paid any more. It can still be.
    MarkUncollectible,
    /// Tells the organization what is due. Last, so that it can tell what else was done.
    Reminder,
}

impl DunningAction {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RetryPayment => "retry_payment",
            Self::LateFee => "late_fee",
            Self::SuspendBookings => "suspend_bookings",
            Self::MarkUncollectible => "mark_uncollectible",
            Self::Reminder => "reminder",
        }
    }
}

/// What may be done only once the invoice is overdue.
pub(super) const AFTER_DUE: [DunningAction; 4] = [
    DunningAction::RetryPayment,
    DunningAction::LateFee,
    DunningAction::SuspendBookings,
    DunningAction::MarkUncollectible,
];

/// What is done some days after the due date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DunningStep {
    /// Days after the due date, -60 to 365; below zero before it.
    #[schema(example = 7)]
    pub after_days: i64,
    /// What is done, each at most once.
    #[schema(example = json!(["retry_payment", "reminder"]))]
    pub actions: Vec<DunningAction>,
}

/// What being late costs, without tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum LateFee {
    /// The same for every invoice of a currency; nothing for those of another.
    Fixed {
        /// How much.
        #[schema(example = 4_000)]
        amount_minor: i64,
        /// ISO 4217.
        #[schema(example = "EUR")]
        currency: String,
    },
    /// A share of what is due then, earlier late fees left out.
    Percent {
        /// Above 0, at most 100, with at most 4 decimals.
        #[schema(value_type = String, example = "2.5")]
        percent: Decimal,
    },
}

/// How invoices come due and what is done about those that are not paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DunningTerms {
    /// Days from an invoice's finalization to its due date, 0 to 365.
    #[schema(example = 14)]
    pub payment_terms_days: i64,
    /// In the order of their days, at most 20; none at all for no dunning.
    #[schema(example = json!([
        { "after_days": -3, "actions": ["reminder"] },
        { "after_days": 1, "actions": ["retry_payment", "reminder"] },
        { "after_days": 30, "actions": ["late_fee", "suspend_bookings", "reminder"] }]))]
    pub steps: Vec<DunningStep>,
    /// Needed where a step has `late_fee`.
    #[serde(default)]
    pub late_fee: Option<LateFee>,
}

impl Default for DunningTerms {
    fn default() -> Self {
        let remind = |after_days| DunningStep {
            after_days,
            actions: vec![DunningAction::RetryPayment, DunningAction::Reminder],
        };
        let last = DunningStep {
            after_days: 30,
            actions: vec![DunningAction::MarkUncollectible, DunningAction::Reminder],
        };
        Self { payment_terms_days: 14, steps: vec![remind(1), remind(7), remind(14), last], late_fee: None }
    }
}

/// The dunning policy of the installation, or of an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DunningPolicy {
    /// The organization it is of; null for the installation's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// Whether the terms are inherited: an organization's from the installation, that from what is built in.
    pub is_inherited: bool,
    /// Rises by one with each change, 0 before the first; also its ETag.
    pub version: i64,
    /// What counts for invoices made final from now on.
    pub terms: DunningTerms,
}

/// How far the dunning of an invoice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DunningStatus {
    /// The invoice is no final one, or was made final before there was dunning.
    None,
    /// Its steps are taken as they come.
    Active,
    /// No step is taken until it is resumed.
    Paused,
    /// Nothing of the invoice is due any more.
    Ended,
}

impl DunningStatus {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }
}

/// Why dunning ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DunningEnd {
    /// The invoice is paid.
    Paid,
    /// It is void.
    Voided,
    /// Its credits took back what was due, or nothing was from the start.
    NothingDue,
}

impl DunningEnd {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Voided => "voided",
            Self::NothingDue => "nothing_due",
        }
    }
}

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionOutcome {
    /// It was done; of a payment: tried.
    Done,
    /// Neither a wallet with enough credit nor a card is known.
    NoMethod,
    /// The last payment failed in a way that trying again does not mend.
    NotRetryable,
    /// Another payment of the invoice is under way.
    UnderWay,
    /// It is done if the card that is charged beside it refuses.
    Deferred,
    /// It has been done for this invoice before, or there is nothing to do it with.
    NotNeeded,
}

impl ActionOutcome {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NoMethod => "no_method",
            Self::NotRetryable => "not_retryable",
            Self::UnderWay => "under_way",
            Self::Deferred => "deferred",
            Self::NotNeeded => "not_needed",
        }
    }
}

/// An action that was due, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TakenAction {
    /// Which.
    pub action: DunningAction,
    /// What became of it.
    pub outcome: ActionOutcome,
}

/// A payment that a step tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DunningRetry {
    /// By what.
    pub method: MethodKind,
    /// The payment; null of a wallet, whose payment ended the dunning at once.
    #[schema(value_type = Option<String>)]
    pub payment_id: Option<PaymentId>,
    /// How far it is.
    pub status: PaymentStatus,
    /// Why it failed.
    pub error_type: Option<String>,
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TakenStep {
    /// Its place in the policy, from 1.
    pub number: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub taken_at: Timestamp,
    /// What was done.
    pub actions: Vec<TakenAction>,
    /// The payment it tried.
    pub retry: Option<DunningRetry>,
}

/// The step that comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NextStep {
    /// Its place in the policy, from 1.
    pub number: i64,
    /// When it is taken, if the invoice is not paid by then.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What is done then.
    pub actions: Vec<DunningAction>,
}

/// The dunning of an invoice, as its events make it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DunningCase {
    /// The invoice.
    #[schema(value_type = String)]
    pub invoice_id: InvoiceId,
    /// Who pays it.
    #[schema(value_type = String)]
    pub organization_id: OrganizationId,
    /// How far it is.
    pub status: DunningStatus,
    /// When the invoice has to be paid.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// Since when it is overdue.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub overdue_at: Option<Timestamp>,
    /// The organization whose own policy counts; null for the installation's.
    #[schema(value_type = Option<String>)]
    pub policy_organization_id: Option<OrganizationId>,
    /// The version of that policy at the finalization, which stays.
    pub policy_version: i64,
    /// The terms of that version.
    pub terms: DunningTerms,
    /// Steps taken, oldest first.
    pub taken: Vec<TakenStep>,
    /// Steps taken before the invoice came to be due once more.
    pub taken_before: Vec<TakenStep>,
    /// How often the organization was told.
    pub notice_count: i64,
    /// What being late costs, without tax; null as long as it costs nothing.
    pub late_fee_minor: Option<i64>,
    /// Whether new bookings of the organization are refused for it.
    pub is_suspending_bookings: bool,
    /// Whether it is marked as uncollectible.
    pub is_uncollectible: bool,
    /// Why it is paused.
    pub pause_reason: Option<String>,
    /// Since when.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub paused_at: Option<Timestamp>,
    /// Why it ended.
    pub end_reason: Option<DunningEnd>,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Rises by one with each change; also its ETag.
    pub version: i64,
}

impl DunningCase {
    /// What comes next.
    pub(super) fn next_step(&self) -> Option<NextStep> {
        if self.status != DunningStatus::Active {
            return None;
        }
        let (index, at) = schedule::next_step(&self.terms.steps, self.due_at?, &self.taken)?;
        let actions = self.terms.steps.get(index)?.actions.clone();
        Some(NextStep { number: i64::try_from(index).unwrap_or(i64::MAX).saturating_add(1), at, actions })
    }

    /// When something has to be done, if ever: to tell that it is overdue, or to take a step.
    pub(in crate::billing) fn next_at(&self) -> Option<Timestamp> {
        let is_open = matches!(self.status, DunningStatus::Active | DunningStatus::Paused);
        let overdue_at = self.due_at.filter(|_| is_open && self.overdue_at.is_none());
        [overdue_at, self.next_step().map(|next| next.at)].into_iter().flatten().min()
    }
}

/// The dunning of an invoice, and what comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Dunning {
    /// As it is.
    #[serde(flatten)]
    pub case: DunningCase,
    /// What comes next; null when nothing does, or nothing before it is resumed.
    pub next_step: Option<NextStep>,
}

/// Why dunning is paused.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DunningPause {
    /// For the books, 1 to 500 characters.
    #[schema(example = "disputed, waiting for the driver's log")]
    pub reason: String,
}
