//! What wallets show and take.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::time::Timestamp;

use crate::ids::{EntryId, HoldId, OrganizationId, TransactionId, WalletId};

/// An organization's credit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Wallet {
    /// `wal_…`
    #[schema(value_type = String)]
    pub id: WalletId,
    /// Whose; one wallet each.
    #[schema(value_type = String)]
    pub organization_id: OrganizationId,
    /// ISO 4217: that of the organization.
    pub currency: String,
    /// Digits after the point of that currency.
    pub currency_exponent: u32,
    /// Sum of its entries.
    #[schema(example = 5_000)]
    pub balance_minor: i64,
    /// Of it, set aside by holds.
    #[schema(example = 1_200)]
    pub held_minor: i64,
    /// The rest.
    #[schema(example = 3_800)]
    pub available_minor: i64,
    /// Rises by one with each change; also its ETag.
    pub version: i64,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A wallet to open.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWallet {
    /// Whose.
    #[schema(example = "org_019ac1f0a5c07e6c8b1f3d6f0e1a2b3c")]
    pub organization_id: String,
}

/// Credit to put in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TopUp {
    /// How much.
    #[schema(example = 5_000)]
    pub amount_minor: i64,
    /// What finds the payment again.
    #[schema(example = "bank transfer 4711")]
    pub reference: String,
}

/// One side of a transaction; never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// `ent_…`
    #[schema(value_type = String)]
    pub id: EntryId,
    /// `txn_…`: its two entries sum to zero.
    #[schema(value_type = String)]
    pub transaction_id: TransactionId,
    /// `top_up`, `capture`, `payment` or `refund`.
    pub kind: String,
    /// The wallet, `funding` or `revenue`.
    pub account: String,
    /// The other side.
    pub counter_account: String,
    /// ISO 4217.
    pub currency: String,
    /// Into the account; negative: out of it.
    pub amount_minor: i64,
    /// Of the top-up, or the id of the hold or payment.
    pub reference: String,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// What has become of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldStatus {
    /// Set aside.
    Held,
    /// Taken, in whole or part.
    Captured,
    /// Free again.
    Released,
    /// Free again, as its time was over.
    Expired,
}

impl HoldStatus {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Captured => "captured",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }

    /// By its spelling.
    pub(crate) fn of(text: &str) -> Option<Self> {
        [Self::Held, Self::Captured, Self::Released, Self::Expired].into_iter().find(|s| s.as_str() == text)
    }
}

/// Credit set aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// `hld_…`
    #[schema(value_type = String)]
    pub id: HoldId,
    /// Of which wallet.
    #[schema(value_type = String)]
    pub wallet_id: WalletId,
    /// Held, captured, released or expired.
    pub status: HoldStatus,
    /// How much is, or was, set aside.
    pub amount_minor: i64,
    /// How much of it was taken.
    pub captured_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// What for.
    pub reason: String,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was captured, released or found expired.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed_at: Option<Timestamp>,
}

/// A hold to make.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHold {
    /// On which wallet.
    #[schema(example = "wal_019ac1f0a5c07e6c8b1f3d6f0e1a2b3c")]
    pub wallet_id: String,
    /// How much.
    #[schema(example = 1_200)]
    pub amount_minor: i64,
    /// After how many seconds it ends by itself.
    #[schema(example = 3_600)]
    pub expires_in_s: i64,
    /// What for.
    #[schema(example = "deposit")]
    pub reason: String,
}

/// How much of a hold to take.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// All of it when absent.
    #[serde(default)]
    #[schema(example = 900)]
    pub amount_minor: Option<i64>,
}

/// Which wallets to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WalletQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which holds to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HoldQuery {
    /// Only of this wallet.
    pub wallet_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
