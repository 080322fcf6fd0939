//! What bookings show and take.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{ids::VehicleId, time::Timestamp};

use crate::ids::{BookingId, HoldId, OrganizationId, PlannedTripId, TariffId, UserId, WalletId};

/// How far a booking is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BookingStatus {
    /// Its steps are being taken.
    Pending,
    /// Credit is held, the vehicle reserved, the trip planned.
    Confirmed,
    /// The vehicle is in use.
    Started,
    /// What it had is being given back.
    Undoing,
    /// Used, and its price taken.
    Finished,
    /// Given up by who booked.
    Cancelled,
    /// Not confirmed in time, or not begun by its end.
    Expired,
    /// It could not be had.
    Failed,
}

impl BookingStatus {
    const ALL: [Self; 8] = [
        Self::Pending,
        Self::Confirmed,
        Self::Started,
        Self::Undoing,
        Self::Finished,
        Self::Cancelled,
        Self::Expired,
        Self::Failed,
    ];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Started => "started",
            Self::Undoing => "undoing",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }

    /// By its spelling.
    pub(crate) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// Why a booking was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndCode {
    /// The wallet has not enough.
    InsufficientCredit,
    /// Another booking has the vehicle in that period.
    VehicleTaken,
    /// The organization has no vehicle that is free in that period.
    NoVehicleFree,
    /// The vehicle is not the organization's any more.
    VehicleGone,
    /// Its steps were not taken in time.
    NotConfirmedInTime,
    /// Nobody began it by its end.
    NotBegun,
    /// Who booked gave it up.
    ByRequest,
}

impl EndCode {
    /// What the booking is in the end.
    pub(super) fn outcome(self) -> BookingStatus {
        match self {
            Self::InsufficientCredit | Self::VehicleTaken | Self::NoVehicleFree | Self::VehicleGone => {
                BookingStatus::Failed
            }
            Self::NotConfirmedInTime | Self::NotBegun => BookingStatus::Expired,
            Self::ByRequest => BookingStatus::Cancelled,
        }
    }
}

/// Why a booking was given up, also for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndReason {
    /// For programs.
    pub code: EndCode,
    /// For people.
    pub message: String,
}

/// What a price was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PriceBasis {
    /// The period booked and the distance expected.
    Estimate,
    /// The trips driven.
    Trips,
}

/// What a booking costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BookingPrice {
    /// Of what it was made.
    pub basis: PriceBasis,
    /// The tariff.
    #[schema(value_type = String)]
    pub tariff_id: TariffId,
    /// The version of it that counts for this booking.
    pub tariff_version: i64,
    /// ISO 4217.
    pub currency: String,
    /// Digits after the point of that currency.
    pub currency_exponent: u32,
    /// Without tax.
    #[schema(example = 2_000)]
    pub net_minor: i64,
    /// Tax on it.
    #[schema(example = 500)]
    pub tax_minor: i64,
    /// Both.
    #[schema(example = 2_500)]
    pub total_minor: i64,
}

/// A vehicle booked for a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Booking {
    /// `bkg_…`
    #[schema(value_type = String)]
    pub id: BookingId,
    /// Whose vehicle, and who pays.
    #[schema(value_type = String)]
    pub organization_id: OrganizationId,
    /// The person it is for, if one was named.
    #[schema(value_type = Option<String>)]
    pub user_id: Option<UserId>,
    /// Telemetry id; null until one is chosen, where any would do.
    #[schema(value_type = Option<String>)]
    pub vehicle_id: Option<VehicleId>,
    /// How far it is.
    pub status: BookingStatus,
    /// From when.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Until when, excluded.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Of the estimate.
    pub expected_distance_m: i64,
    /// What it costs: the estimate until it is finished.
    pub price: BookingPrice,
    /// The wallet that pays; null where there is nothing to pay.
    #[schema(value_type = Option<String>)]
    pub wallet_id: Option<WalletId>,
    /// The credit set aside for it.
    #[schema(value_type = Option<String>)]
    pub hold_id: Option<HoldId>,
    /// The trip planned for it.
    #[schema(value_type = Option<String>)]
    pub planned_trip_id: Option<PlannedTripId>,
    /// The first step: it has its credit.
    pub is_credit_held: bool,
    /// The second: it has its vehicle.
    pub is_vehicle_reserved: bool,
    /// The third: it has its trip.
    pub is_trip_planned: bool,
    /// Taken from the wallet.
    pub charged_minor: i64,
    /// Of the price, what the wallet had not: it is on the organization's invoice.
    pub owed_minor: i64,
    /// Of what is held, what is kept when it is given up.
    #[serde(default)]
    pub kept_minor: i64,
    /// Why it was given up.
    pub end_reason: Option<EndReason>,
    /// Given up when it is not confirmed by then.
    #[schema(value_type = String, format = DateTime)]
    pub confirm_by: Timestamp,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// When it was confirmed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub confirmed_at: Option<Timestamp>,
    /// When its use began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it was finished, cancelled, expired or failed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Rises by one with each change; also its ETag.
    pub version: i64,
}

/// A vehicle to book.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBooking {
    /// `veh_…` or telemetry id; any free vehicle of the organization when absent.
    #[serde(default)]
    #[schema(example = "car-1")]
    pub vehicle_id: Option<String>,
    /// Whose vehicle, and who pays; the caller's own, or else the vehicle's, when absent.
    #[serde(default)]
    #[schema(example = "org_019ac1f0a5c07e6c8b1f3d6f0e1a2b3c")]
    pub organization_id: Option<String>,
    /// The person it is for, of that organization; the person whose key asks when absent.
    #[serde(default)]
    #[schema(example = "usr_019ac1f0a5c07e6c8b1f3d6f0e1a2b3c")]
    pub user_id: Option<String>,
    /// From when, RFC 3339; not in the past.
    #[schema(example = "2026-11-24T08:00:00Z")]
    pub from: String,
    /// Until when, RFC 3339; at most 30 days later.
    #[schema(example = "2026-11-24T12:00:00Z")]
    pub to: String,
    /// For the estimate; none when absent.
    #[serde(default)]
    #[schema(example = 40_000)]
    pub expected_distance_m: i64,
}

/// How long a booking is to last now.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// The new end, RFC 3339, later than the one before.
    #[schema(example = "2026-11-24T14:00:00Z")]
    pub to: String,
}

/// Which bookings to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct BookingQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// Only of this vehicle: telemetry id.
    pub vehicle_id: Option<String>,
    /// Only in this status.
    pub status: Option<String>,
    /// Only those that end after this RFC 3339 time.
    pub from: Option<String>,
    /// Only those that begin before this RFC 3339 time.
    pub to: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// When a vehicle is to be free.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AvailableQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// From this RFC 3339 time; now when absent.
    pub from: Option<String>,
    /// Until this RFC 3339 time; an hour later when absent.
    pub to: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
