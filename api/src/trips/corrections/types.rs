//! Corrections as clients see them.

use analytics::row::{CorrectionKind, CorrectionRow, CorrectionStatus, Purpose};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{ids::VehicleId, time::Timestamp};

use crate::ids::TripCorrectionId;

/// Something that was said of trips. The lake's derivation heeds it within seconds: revisions of the trips follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TripCorrection {
    /// `tco_…`
    #[schema(value_type = String)]
    pub id: TripCorrectionId,
    /// Telemetry id of the vehicle.
    #[schema(value_type = String)]
    pub vehicle_id: VehicleId,
    /// `merge`, `split` or `mark`.
    #[schema(value_type = String)]
    pub kind: CorrectionKind,
    /// Of a merge the start of the time between that is no stop; of a split the moment; of a mark the trip's start.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Its end; of a split the same moment.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// What a mark says: `business`, `private`, or null for neither.
    #[schema(value_type = Option<String>)]
    pub purpose: Option<Purpose>,
    /// `active`, or `revoked` when it was taken back.
    #[schema(value_type = String)]
    pub status: CorrectionStatus,
    /// When it was said.
    #[schema(value_type = String, format = DateTime)]
    pub made_at: Timestamp,
    /// By whom: a key's or a person's id, `operator` or `local`, as in the audit log.
    pub made_by: String,
    /// 1, and 2 when it was taken back.
    pub version: i64,
}

impl TripCorrection {
    /// The revisions of it that the lake is to have after one of them, in order.
    pub(super) fn rows_after(&self, recorded_version: i64) -> impl Iterator<Item = CorrectionRow> + use<> {
        let row = CorrectionRow {
            correction_id: self.id.to_string(),
            revision: 1,
            vehicle_id: self.vehicle_id.clone(),
            status: CorrectionStatus::Active,
            kind: self.kind,
            from_time: self.from,
            to_time: self.to,
            purpose: self.purpose,
            made_by: self.made_by.clone(),
            made_at: self.made_at,
            recorded_at: self.made_at,
        };
        let (last, status) = (self.version, self.status);
        (recorded_version + 1..=last).map(move |revision| CorrectionRow {
            revision,
            status: if revision == last { status } else { CorrectionStatus::Active },
            ..row.clone()
        })
    }
}

/// Trips to make one.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TripMerge {
    /// 2 to 20 trips of one vehicle that follow each other, each at most 12 h after the one before; in any order.
    pub trip_ids: Vec<String>,
}

/// A trip to make two of.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TripSplit {
    /// `trp_…`
    pub trip_id: String,
    /// RFC 3339, within the trip. The first part ends with the last reading up to then.
    pub at: String,
}

/// What a trip was for.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TripMark {
    /// `trp_…`
    pub trip_id: String,
    /// `business`, `private`, or null for neither.
    pub purpose: Option<String>,
}

/// Which corrections to list: all, those of a vehicle, or those that touch a trip's time.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CorrectionQuery {
    /// Telemetry id.
    pub vehicle_id: Option<String>,
    /// `trp_…`
    pub trip_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
