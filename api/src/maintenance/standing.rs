//! How near a vehicle is to the limits of a schedule: arithmetic alone.

use wire::time::Timestamp;

use super::types::{DueStatus, MaintenanceSchedule};

pub(super) const DAY_US: i64 = 86_400_000_000;
/// The whole of an interval, as it is compared.
const WHOLE_PPM: i64 = 1_000_000;

/// Where an interval began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) at: Timestamp,
    pub(super) odometer_m: Option<i64>,
}

/// Where a vehicle is in its interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) status: DueStatus,
    pub(super) due_at: Option<Timestamp>,
    pub(super) due_odometer_m: Option<i64>,
    pub(super) left_m: Option<i64>,
    pub(super) left_us: Option<i64>,
    /// How much of the interval is used, of the limit that is nearest; over a million when over.
    pub(super) used_ppm: i64,
}

impl Standing {
    /// Whole days that are left; below zero from the moment it is over.
    pub(super) fn left_days(&self) -> Option<i64> {
        self.left_us.map(|left| left.div_euclid(DAY_US))
    }
}

/// By what is known now: an odometer that went back makes nothing more urgent.
pub(super) fn standing(
    schedule: &MaintenanceSchedule,
    start: Start,
    (now, odometer_m): (Timestamp, Option<i64>),
) -> Standing {
    let every_m = schedule.every_km.map(|km| km.saturating_mul(1_000));
    let every_us = schedule.every_days.map(|days| days.saturating_mul(DAY_US));
    let due_odometer_m = every_m.zip(start.odometer_m).map(|(every, from)| from.saturating_add(every));
    let due_at = every_us.map(|every| Timestamp(start.at.0.saturating_add(every)));
    let left_m = due_odometer_m.zip(odometer_m).map(|(due, is)| due.saturating_sub(is));
    let left_us = due_at.map(|due| due.0.saturating_sub(now.0));
    let by_distance = left_m.zip(every_m).map(|(left, every)| {
        let remind = schedule.remind_km.unwrap_or_default().saturating_mul(1_000);
        (status_of(left, remind), used_ppm(left, every))
    });
    let by_time = left_us.zip(every_us).map(|(left, every)| {
        let remind = schedule.remind_days.unwrap_or_default().saturating_mul(DAY_US);
        (status_of(left, remind), used_ppm(left, every))
    });
    let known = [by_distance, by_time];
    let status = known.iter().flatten().map(|(status, _)| *status).max_by_key(|status| status.level());
    let used_ppm = known.iter().flatten().map(|(_, used)| *used).max().unwrap_or_default();
    let status = status.unwrap_or(DueStatus::Unknown);
    Standing { status, due_at, due_odometer_m, left_m, left_us, used_ppm }
}

fn status_of(left: i64, remind: i64) -> DueStatus {
    match left {
        i64::MIN..=0 => DueStatus::Overdue,
        left if left <= remind => DueStatus::DueSoon,
        _ => DueStatus::Ok,
    }
}

fn used_ppm(left: i64, every: i64) -> i64 {
    let part = i128::from(left) * i128::from(WHOLE_PPM) / i128::from(every.max(1));
    i64::try_from(i128::from(WHOLE_PPM) - part).unwrap_or(if left > 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MaintenanceScheduleId;

    fn schedule(every_km: Option<i64>, every_days: Option<i64>) -> MaintenanceSchedule {
        let now = Timestamp(0);
        MaintenanceSchedule {
            id: MaintenanceScheduleId::new(now),
            organization_id: None,
            name: "Oil".to_owned(),
            description: None,
            every_km,
            every_days,
            remind_km: every_km.map(|km| km / 10),
            remind_days: every_days.map(|days| days / 10),
            vehicle_ids: Vec::new(),
            is_enabled: true,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    #[test]
    fn the_limit_that_is_reached_first_counts_to_the_metre_and_the_microsecond() {
        let both = schedule(Some(100), Some(10));
        let start = Start { at: Timestamp(0), odometer_m: Some(5_000) };
        for (now_us, odometer_m, status) in [
            (0, 5_000, DueStatus::Ok),
            (0, 94_999, DueStatus::Ok),
            (0, 95_000, DueStatus::DueSoon),
            (0, 104_999, DueStatus::DueSoon),
            (0, 105_000, DueStatus::Overdue),
            (9 * DAY_US - 1, 5_000, DueStatus::Ok),
            (9 * DAY_US, 5_000, DueStatus::DueSoon),
            (10 * DAY_US - 1, 5_000, DueStatus::DueSoon),
            (10 * DAY_US, 5_000, DueStatus::Overdue),
            (9 * DAY_US, 105_000, DueStatus::Overdue),
            // The cluster was replaced.
            (0, 0, DueStatus::Ok),
        ] {
            let found = standing(&both, start, (Timestamp(now_us), Some(odometer_m)));
            assert_eq!(found.status, status, "{now_us} µs, {odometer_m} m");
            assert_eq!(found.left_m, Some(105_000 - odometer_m));
            assert_eq!(found.left_us, Some(10 * DAY_US - now_us));
        }
        let over = standing(&both, start, (Timestamp(5 * DAY_US), Some(115_000)));
        assert_eq!(over.used_ppm, 1_100_000, "of the nearest");
    }

    #[test]
    fn without_an_odometer_days_count_and_without_days_nothing_is_known() {
        let start = Start { at: Timestamp(0), odometer_m: None };
        let by_km = standing(&schedule(Some(100), None), start, (Timestamp(0), Some(7)));
        assert_eq!((by_km.status, by_km.due_odometer_m, by_km.left_m), (DueStatus::Unknown, None, None));
        let both = standing(&schedule(Some(100), Some(1)), start, (Timestamp(DAY_US), None));
        assert_eq!((both.status, both.left_us), (DueStatus::Overdue, Some(0)));
    }
}
