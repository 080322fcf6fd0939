//! Who drove: of a span of time with a vehicle, the driver whose assignment covers most of it, at least half.
//!
//! Worked out whenever it is asked, so an assignment that is corrected corrects what was driven in it.

use std::collections::{HashMap, HashSet};

use wire::{
    ids::VehicleId,
    time::{DAY_US, Timestamp},
};

use super::{
    assignments::store::{self as times, Time},
    store,
};
use crate::{caller::Caller, db::Conn, fault::DomainError, ids::DriverId, permissions};

/// No span that is asked about is longer: a year's drive without a stop is a broken clock.
pub(crate) const SPAN_US_MAX: i64 = 31 * DAY_US;

/// Whose driving somebody is told of: what drivers do is personal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// Everybody's, of those they reach.
    All,
    /// One driver's: their own.
    One(DriverId),
    /// Nobody's.
    Nobody,
}

impl Told {
    /// What a caller is told: all who may see drivers, and a driver of themself.
    pub(crate) async fn to(conn: &mut Conn, caller: &Caller) -> Result<Self, DomainError> {
        let rule = permissions::rule_of("GET", "/v1/drivers");
        if rule.is_some_and(|rule| caller.refused_role(|role| rule.allows(role)).is_none()) {
            return Ok(Self::All);
        }
        let own = match caller.user() {
            Some(user) => store::of_user(conn, user).await?,
            None => None,
        };
        Ok(own.map_or(Self::Nobody, Self::One))
    }

    /// Whether that is a driver's.
    pub(crate) fn includes(&self, driver: &DriverId) -> bool {
        match self {
            Self::All => true,
            Self::One(own) => own == driver,
            Self::Nobody => false,
        }
    }
}

/// A time that somebody may have driven in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) vehicle_id: VehicleId,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

/// A driver, as what they drove names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DrivenBy {
    pub(crate) driver_id: DriverId,
    pub(crate) driver_name: String,
}

/// Who drove in each span, as far as a caller is told.
pub(crate) async fn who_drove(
    conn: &mut Conn,
    (caller, told): (&Caller, &Told),
    spans: &[Span],
) -> Result<Vec<Option<DrivenBy>>, DomainError> {
    if *told == Told::Nobody || spans.is_empty() {
        return Ok(spans.iter().map(|_| None).collect());
    }
    let mut whole: HashMap<&VehicleId, (Timestamp, Timestamp)> = HashMap::new();
    for span in spans {
        let (start, end) = whole.entry(&span.vehicle_id).or_insert((span.start, span.end));
        (*start, *end) = ((*start).min(span.start), (*end).max(span.end));
    }
    let whole: Vec<_> = whole.into_iter().map(|(id, within)| (id.clone(), within)).collect();
    let mut by_vehicle: HashMap<VehicleId, Vec<Time>> = HashMap::new();
    for time in times::times_within(conn, &whole).await? {
        by_vehicle.entry(time.vehicle.clone()).or_default().push(time);
    }
    let is_reached =
        |time: &&Time| caller.organization().is_none_or(|own| time.organization_id.as_ref() == Some(own));
    Ok(spans
        .iter()
        .map(|span| {
            let found = most_of(span, by_vehicle.get(&span.vehicle_id)?);
            let found = found.filter(is_reached).filter(|time| told.includes(&time.driver_id))?;
            Some(DrivenBy { driver_id: found.driver_id.clone(), driver_name: found.driver_name.clone() })
        })
        .collect())
}

/// Of the times of a vehicle, in their order, the one that covers most of a span, if that is half of it or more. Of two
/// halves it is the first.
fn most_of<'a>(span: &Span, times: &'a [Time]) -> Option<&'a Time> {
    let covered = |time: &Time| {
        let end = time.to.map_or(span.end, |to| to.min(span.end));
        end.since_us(time.from.max(span.start))
    };
    let length = span.end.since_us(span.start);
    if length <= 0 {
        let has_it = |time: &&Time| time.from <= span.start && time.to.is_none_or(|to| to > span.start);
        return times.iter().find(has_it);
    }
    let mut most: Option<(&Time, i64)> = None;
    for time in times {
        let covered = covered(time);
        if most.is_none_or(|(_, before)| covered > before) {
            most = Some((time, covered));
        }
    }
    most.filter(|(_, covered)| *covered >= length - covered).map(|(time, _)| time)
}

/// A driver's time with a vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) vehicle_id: VehicleId,
    pub(crate) from: Timestamp,
    /// The end of time while it is open.
    pub(crate) to: Timestamp,
}

/// Windows of a driver within which they may have driven a span that overlaps `[from, to)`, the latest first: so many,
/// and when the next ends, if there are more.
pub(crate) async fn windows(
    conn: &mut Conn,
    driver: &DriverId,
    ((from_us, to_us), limit): ((i64, i64), usize),
) -> Result<(Vec<Window>, Option<Timestamp>), DomainError> {
    // Most of what overlaps the period may be beside it.
    let (from_us, to_us) = (from_us.saturating_sub(SPAN_US_MAX), to_us.saturating_add(SPAN_US_MAX));
    let count = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut found: Vec<Window> = times::times_of(conn, driver, ((from_us, to_us), count))
        .await?
        .into_iter()
        .map(|time| Window {
            vehicle_id: time.vehicle,
            from: time.from,
            to: time.to.unwrap_or(Timestamp(i64::MAX)),
        })
        .collect();
    let next = found.get(limit).map(|window| window.to);
    found.truncate(limit);
    Ok((found, next))
}

/// The windows that are with some vehicles.
pub(crate) fn within(windows: Vec<Window>, vehicles: Option<&HashSet<VehicleId>>) -> Vec<Window> {
    windows.into_iter().filter(|w| vehicles.is_none_or(|some| some.contains(&w.vehicle_id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(name: &str, from: i64, to: Option<i64>) -> Time {
        Time {
            vehicle: "car-1".parse().unwrap(),
            driver_id: DriverId::new(Timestamp(0)),
            driver_name: name.to_owned(),
            organization_id: None,
            from: Timestamp(from),
            to: to.map(Timestamp),
        }
    }

    fn of(start: i64, end: i64, times: &[Time]) -> Option<&str> {
        let span =
            Span { vehicle_id: "car-1".parse().unwrap(), start: Timestamp(start), end: Timestamp(end) };
        most_of(&span, times).map(|time| time.driver_name.as_str())
    }

    #[test]
    fn who_has_half_of_it_or_more_drove_and_of_two_halves_the_first() {
        let times = [time("Ana", 0, Some(100)), time("Bo", 100, Some(200)), time("Cy", 250, None)];
        assert_eq!(of(20, 80, &times), Some("Ana"));
        assert_eq!(of(90, 111, &times), Some("Bo"));
        assert_eq!(of(90, 110, &times), Some("Ana"), "half and half");
        assert_eq!(of(200, 300, &times), Some("Cy"), "the other half is nobody's");
        assert_eq!(of(199, 300, &times), None, "49 of 101");
        assert_eq!(of(210, 240, &times), None);
        assert_eq!(of(0, 1_000, &times), Some("Cy"));
        assert_eq!(of(50, 250, &times), Some("Bo"), "of the shares the largest");
        assert_eq!(of(300, i64::MAX, &times), Some("Cy"), "it is open");
        assert_eq!(of(-1_000, -5, &times), None);
    }

    #[test]
    fn an_instant_is_of_who_has_the_vehicle_then() {
        let times = [time("Ana", 0, Some(100)), time("Bo", 100, None)];
        assert_eq!((of(99, 99, &times), of(100, 100, &times)), (Some("Ana"), Some("Bo")));
        assert_eq!(of(-1, -1, &times), None);
    }
}
