//! What payments and refunds show and take.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::time::Timestamp;

use crate::ids::{InvoiceId, PaymentId, RefundId};

/// How an invoice is paid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum PaymentMethod {
    /// By card, through the gateway.
    Card {
        /// As the gateway named the card to the client.
        #[schema(example = "tok_ok")]
        token: String,
    },
    /// From the organization's wallet.
    Wallet,
}

/// The same without the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// By card.
    Card,
    /// From the wallet.
    Wallet,
}

impl MethodKind {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Wallet => "wallet",
        }
    }

    /// By its spelling.
    pub(crate) fn of(text: &str) -> Option<Self> {
        [Self::Card, Self::Wallet].into_iter().find(|m| m.as_str() == text)
    }
}

/// How far a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The gateway has not answered yet.
    Pending,
    /// The customer has to do something at `action_url`.
    RequiresAction,
    /// Paid.
    Succeeded,
    /// Not paid, for `error_type`.
    Failed,
}

impl PaymentStatus {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::RequiresAction => "requires_action",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// By its spelling.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let all = [Self::Pending, Self::RequiresAction, Self::Succeeded, Self::Failed];
        all.into_iter().find(|s| s.as_str() == text)
    }
}

/// A payment of an invoice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Payment {
    /// `pay_…`
    #[schema(value_type = String)]
    pub id: PaymentId,
    /// What it pays.
    #[schema(value_type = String)]
    pub invoice_id: InvoiceId,
    /// How far it is.
    pub status: PaymentStatus,
    /// By what.
    pub method: MethodKind,
    /// How much.
    #[schema(example = 1_088)]
    pub amount_minor: i64,
    /// How much of it was given back, or is being.
    pub refunded_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Digits after the point of that currency.
    pub currency_exponent: u32,
    /// `declined`, `card_revoked`, `insufficient_funds`, `invalid_token`, `action_refused`, `action_expired` or
    /// `timeout`.
    pub error_type: Option<String>,
    /// Where the customer does what is required.
    pub action_url: Option<String>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its status last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// A payment with what it is charged to.
#[derive(Debug, Clone)]
pub(crate) struct StoredPayment {
    pub(crate) payment: Payment,
    pub(crate) source: String,
}

/// A payment to make.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPayment {
    /// What to pay.
    #[schema(example = "inv_019ac1f0a5c07e6c8b1f3d6f0e1a2b3c")]
    pub invoice_id: String,
    /// All that is due when absent.
    #[serde(default)]
    pub amount_minor: Option<i64>,
    /// By what.
    pub method: PaymentMethod,
}

/// How far a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// The gateway has not answered yet.
    Pending,
    /// Given back.
    Succeeded,
    /// The gateway refused.
    Failed,
}

impl RefundStatus {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// By its spelling.
    pub(crate) fn of(text: &str) -> Option<Self> {
        [Self::Pending, Self::Succeeded, Self::Failed].into_iter().find(|s| s.as_str() == text)
    }
}

/// Money given back of a payment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Refund {
    /// `rfd_…`
    #[schema(value_type = String)]
    pub id: RefundId,
    /// Of which payment.
    #[schema(value_type = String)]
    pub payment_id: PaymentId,
    /// How far it is.
    pub status: RefundStatus,
    /// How much.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Why.
    pub reason: String,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A refund to make.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRefund {
    /// Of which payment.
    #[schema(example = "pay_019ac1f0a5c07e6c8b1f3d6f0e1a2b3c")]
    pub payment_id: String,
    /// All that is left when absent.
    #[serde(default)]
    pub amount_minor: Option<i64>,
    /// Why.
    #[schema(example = "charged twice")]
    pub reason: String,
}

/// The refunds of a payment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Refunds {
    /// Oldest first.
    pub data: Vec<Refund>,
}

/// Which payments to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PaymentQuery {
    /// Only of this invoice.
    pub invoice_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which payment's refunds to list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RefundQuery {
    /// Of this payment.
    pub payment_id: String,
}
