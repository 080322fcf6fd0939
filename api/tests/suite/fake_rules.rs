//! What a lake in memory says of rules: every rule is so at the moments that a test puts in.

use std::collections::{BTreeMap, BTreeSet};

use analytics::{
    Whose,
    rules::{Changes, Episode, Found, Rule, Spans},
};
use api::lake_port::LakeError;
use serde_json::{Map, json};
use service::clock::micros;
use wire::{ids::VehicleId, time::Timestamp};

/// Versions of `readings`, and the moments in them.
#[derive(Debug, Default)]
pub(crate) struct FakeRules {
    /// What each version touched.
    log: Vec<Spans>,
    moments: BTreeMap<VehicleId, BTreeSet<Timestamp>>,
    /// What asking fails with.
    pub(crate) fails: Option<LakeError>,
    /// What was asked about, in order.
    pub(crate) asked: Vec<(Vec<VehicleId>, Timestamp, Timestamp)>,
}

impl FakeRules {
    /// A version with data of a vehicle in `[from, to]`, where a rule is so at these moments and no others.
    pub(crate) fn tell(&mut self, vehicle: &str, (from, to): (Timestamp, Timestamp), moments: &[Timestamp]) {
        let vehicle: VehicleId = vehicle.parse().unwrap();
        let known = self.moments.entry(vehicle.clone()).or_default();
        known.retain(|at| *at < from || *at > to);
        known.extend(moments);
        self.log.push(Spans::from([(vehicle, (from, to))]));
    }

    pub(crate) fn versions(&self) -> BTreeMap<String, i64> {
        let newest = i64::try_from(self.log.len()).unwrap() - 1;
        BTreeMap::from([("readings".to_owned(), newest), ("trip_corrections".to_owned(), -1)])
    }

    pub(crate) fn changes(&self, after: &BTreeMap<String, i64>) -> Changes {
        let seen = usize::try_from(after["readings"] + 1).unwrap();
        let mut touched = Spans::new();
        for (vehicle, (from, to)) in self.log[seen..].iter().flatten() {
            let span = touched.entry(vehicle.clone()).or_insert((*from, *to));
            *span = (span.0.min(*from), span.1.max(*to));
        }
        Changes { versions: self.versions(), touched, has_more: false }
    }

    pub(crate) fn episodes(
        &mut self,
        rule: &Rule,
        (whose, until): (Option<&Whose>, &BTreeMap<VehicleId, Timestamp>),
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Found, LakeError> {
        if let Some(error) = &self.fails {
            return Err(error.clone());
        }
        let mut found = Found::default();
        let own = self.moments.iter().filter(|(id, _)| whose.is_none_or(|whose| whose.includes(id.as_str())));
        let own: Vec<_> = own.collect();
        let ids = own.iter().map(|(id, _)| (*id).clone()).collect();
        for (vehicle, moments) in own {
            for &at in moments.range(from..=to) {
                if until.get(vehicle).is_some_and(|until| at > *until) {
                    found.held_back.entry(vehicle.clone()).or_insert(at);
                    continue;
                }
                match found.episodes.last_mut() {
                    Some(open)
                        if open.vehicle_id == *vehicle && at.since_us(open.end) <= micros(rule.quiet) =>
                    {
                        open.end = at;
                    }
                    _ => found.episodes.push(Episode {
                        vehicle_id: vehicle.clone(),
                        key: None,
                        start: at,
                        end: at,
                        value: Some(140.5),
                        message: Some("fast".to_owned()),
                        details: Map::from_iter([("gear".to_owned(), json!(6))]),
                    }),
                }
            }
        }
        self.asked.push((ids, from, to));
        Ok(found)
    }
}
