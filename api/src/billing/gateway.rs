//! The gateway that takes money from cards, and the sandbox that plays one.
//!
//! A charge is named by our payment's id: asked again, a gateway answers and does not charge again.

use async_trait::async_trait;
use rust_decimal::Decimal;

/// What to charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Our payment's id: the gateway's idempotency key.
    pub payment_id: String,
    /// The card, as the gateway named it to the client.
    pub token: String,
    /// How much.
    pub amount: Decimal,
    /// ISO 4217.
    pub currency: String,
}

/// What became of a charge or refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The money moved.
    Succeeded,
    /// It did not and will not.
    Failed(ErrorType),
    /// The customer has to do something first, at this address.
    RequiresAction(String),
    /// The gateway never heard of it.
    Unknown,
}

/// Why a payment failed; a closed set, as it is a label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorType {
    /// The bank said no.
    Declined,
    /// The card is lost, stolen or closed, and never works again.
    CardRevoked,
    /// The card has not enough.
    InsufficientFunds,
    /// The token is none of the gateway's.
    InvalidToken,
    /// The customer did not do what was asked.
    ActionRefused,
    /// Nor anything else in time.
    ActionExpired,
    /// No answer, and the gateway never heard of it.
    Timeout,
}

/// Whether trying a card again, without its owner, can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclineKind {
    /// Later it may go through.
    Soft,
    /// It never will.
    Hard,
    /// Only if they do what is asked.
    NeedsCustomer,
}

impl ErrorType {
    const ALL: [Self; 7] = [
        Self::Declined,
        Self::CardRevoked,
        Self::InsufficientFunds,
        Self::InvalidToken,
        Self::ActionRefused,
        Self::ActionExpired,
        Self::Timeout,
    ];

    /// By its spelling.
    pub(crate) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.as_str() == text)
    }

    /// Whether trying again can help.
    pub fn decline_kind(self) -> DeclineKind {
        match self {
            Self::Declined | Self::InsufficientFunds | Self::Timeout => DeclineKind::Soft,
            Self::CardRevoked | Self::InvalidToken => DeclineKind::Hard,
            Self::ActionRefused | Self::ActionExpired => DeclineKind::NeedsCustomer,
        }
    }

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::CardRevoked => "card_revoked",
            Self::InsufficientFunds => "insufficient_funds",
            Self::InvalidToken => "invalid_token",
            Self::ActionRefused => "action_refused",
            Self::ActionExpired => "action_expired",
            Self::Timeout => "timeout",
        }
    }
}

/// No answer came: the money may or may not have moved, and [`Gateway::look_up`] tells.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the payment gateway did not answer")]
pub struct NoAnswer;

/// Takes money from cards.
#[async_trait]
pub trait Gateway: Send + Sync + std::fmt::Debug {
    /// Charges a card.
    async fn charge(&self, charge: &Charge) -> Result<Outcome, NoAnswer>;

    /// After the customer did what [`Outcome::RequiresAction`] asked.
    async fn confirm(&self, charge: &Charge) -> Result<Outcome, NoAnswer>;

    /// Gives up a charge that waits for the customer, so that it cannot succeed any more; what has become of it,
    /// which is a success where they were faster.
    async fn cancel(&self, charge: &Charge) -> Result<Outcome, NoAnswer>;

    /// What became of a charge.
    async fn look_up(&self, charge: &Charge) -> Result<Outcome, NoAnswer>;

    /// Gives money of a charge back; `refund_id` names the act.
    async fn refund(&self, refund_id: &str, charge: &Charge) -> Result<Outcome, NoAnswer>;
}

/// A gateway without money. What happens is in the token, so that it is the same every time.
#[derive(Debug, Default)]
pub struct Sandbox;

#[async_trait]
impl Gateway for Sandbox {
    async fn charge(&self, charge: &Charge) -> Result<Outcome, NoAnswer> {
        match charge.token.as_str() {
            "tok_timeout" | "tok_timeout_charged" => Err(NoAnswer),
            "tok_action" | "tok_action_refused" => {
                Ok(Outcome::RequiresAction(format!("https://sandbox.invalid/3ds/{}", charge.payment_id)))
            }
            _ => self.look_up(charge).await,
        }
    }

    async fn confirm(&self, charge: &Charge) -> Result<Outcome, NoAnswer> {
        match charge.token.as_str() {
            "tok_action" => Ok(Outcome::Succeeded),
            "tok_action_refused" => Ok(Outcome::Failed(ErrorType::ActionRefused)),
            _ => self.look_up(charge).await,
        }
    }

    async fn cancel(&self, charge: &Charge) -> Result<Outcome, NoAnswer> {
        match charge.token.as_str() {
            "tok_action" | "tok_action_refused" => Ok(Outcome::Failed(ErrorType::ActionExpired)),
            _ => self.look_up(charge).await,
        }
    }

    async fn look_up(&self, charge: &Charge) -> Result<Outcome, NoAnswer> {
        Ok(match charge.token.as_str() {
            "tok_ok" | "tok_timeout_charged" => Outcome::Succeeded,
            "tok_timeout" => Outcome::Unknown,
            "tok_declined" => Outcome::Failed(ErrorType::Declined),
            "tok_revoked" => Outcome::Failed(ErrorType::CardRevoked),
            "tok_insufficient_funds" => Outcome::Failed(ErrorType::InsufficientFunds),
            "tok_action" | "tok_action_refused" => {
                Outcome::RequiresAction(format!("https://sandbox.invalid/3ds/{}", charge.payment_id))
            }
            _ => Outcome::Failed(ErrorType::InvalidToken),
        })
    }

    async fn refund(&self, _refund_id: &str, _charge: &Charge) -> Result<Outcome, NoAnswer> {
        Ok(Outcome::Succeeded)
    }
}
