//! What becomes of the alerts of a vehicle when a rule has been asked about a part of its time again. Pure.
//!
//! The part is wider than what is new in it, by a margin on either side ([`margin_us`]) in which nothing can have
//! changed. Within a margin an alert that goes on beyond the part has a moment, as none of its moments is further from
//! the next than the rule's quiet time: so it is known to go on, and nobody has to ask about all of it again.

use analytics::rules::Episode;
use wire::time::Timestamp;

use crate::ids::AlertId;

/// An alert that stands, as far as its time goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) id: AlertId,
    pub(super) start: Timestamp,
    pub(super) last: Timestamp,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// It is new.
    Raise(Episode),
    /// It is of this time. The episode tells of its first moment, unless that lies before what was asked.
    Keep { id: AlertId, start: Timestamp, last: Timestamp, first: Option<Episode> },
    /// It was not so.
    Withdraw(AlertId),
}

/// The times by which a rule makes alerts of moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) quiet_us: i64,
    pub(super) min_duration_us: i64,
}

impl Times {
    /// How much further to ask than what can have changed: an alert that comes into it has a moment there, and of
    /// what became long enough to be one the first.
    pub(super) fn margin_us(self) -> i64 {
        self.quiet_us.saturating_add(self.min_duration_us).saturating_add(1_000_000)
    }
}

/// What to do. `standing` are the alerts of one vehicle and key that touch the part, by time; `episodes` what the rule says of
/// it there, by time.
pub(super) fn reconciled(
    standing: &[Standing],
    episodes: &[Episode],
    (from, to): (Timestamp, Timestamp),
    times: Times,
) -> Vec<Step> {
    let holding = |ts: Timestamp| standing.iter().find(move |s| s.start <= ts && ts <= s.last);
    let mut spans: Vec<Span<'_>> = Vec::with_capacity(episodes.len());
    for (place, episode) in episodes.iter().enumerate() {
        let mut span = Span { start: episode.start, last: episode.end, first: Some(episode) };
        if place == 0
            && episode.start.since_us(from) <= times.quiet_us
            && let Some(before) = holding(episode.start).filter(|s| s.start < from)
        {
            (span.start, span.first) = (before.start, None);
        }
        if place + 1 == episodes.len()
            && to.since_us(episode.end) <= times.quiet_us
            && let Some(after) = holding(episode.end).filter(|s| s.last > to)
        {
            span.last = after.last;
        }
        if span.last.since_us(span.start) >= times.min_duration_us {
            spans.push(span);
        }
    }
    let mut steps = Vec::new();
    let mut is_claimed = vec![false; standing.len()];
    for span in spans {
        let mut touching =
            standing.iter().enumerate().filter(|(_, s)| s.start <= span.last && span.start <= s.last);
        let Some((place, same)) = touching.find(|(place, _)| !is_claimed[*place]) else {
            steps
                .extend(span.first.map(|first| {
                    Step::Raise(Episode { start: span.start, end: span.last, ..first.clone() })
                }));
            continue;
        };
        is_claimed[place] = true;
        if (same.start, same.last) != (span.start, span.last) || span.first.is_some() {
            let (id, first) = (same.id.clone(), span.first.cloned());
            steps.push(Step::Keep { id, start: span.start, last: span.last, first });
        }
    }
    let unclaimed = standing.iter().zip(is_claimed).filter(|(_, is_claimed)| !is_claimed);
    steps.extend(unclaimed.map(|(s, _)| Step::Withdraw(s.id.clone())));
    steps
}

/// An episode with what of it lies beyond the part.
struct Span<'a> {
    start: Timestamp,
    last: Timestamp,
    /// What was told of its first moment, where that is within the part.
    first: Option<&'a Episode>,
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    const QUIET_S: i64 = 10;

    fn ts(second: i64) -> Timestamp {
        Timestamp(second * 1_000_000)
    }

    /// What a rule says of the moments in a part.
    fn asked(moments: &BTreeSet<i64>, (from, to): (i64, i64)) -> Vec<Episode> {
        let mut episodes: Vec<Episode> = Vec::new();
        for &moment in moments.range(from..=to) {
            match episodes.last_mut() {
                Some(open) if ts(moment).since_us(open.end) <= QUIET_S * 1_000_000 => open.end = ts(moment),
                _ => episodes.push(Episode {
                    vehicle_id: "car-1".parse().unwrap(),
                    key: None,
                    start: ts(moment),
                    end: ts(moment),
                    value: Some(moment as f64),
                    message: None,
                    details: serde_json::Map::new(),
                }),
            }
        }
        episodes
    }

    /// Alerts as a process would have them that hears of changes piece by piece.
    #[derive(Debug, Default)]
    struct Kept {
        alerts: BTreeMap<AlertId, (i64, i64, f64)>,
        raised: i64,
    }

    impl Kept {
        fn take(&mut self, moments: &BTreeSet<i64>, (from, to): (i64, i64), times: Times) {
            let margin_s = times.margin_us() / 1_000_000;
            let part = (from - margin_s, to + margin_s);
            let mut standing: Vec<Standing> = self
                .alerts
                .iter()
                .filter(|(_, (start, last, _))| *start <= part.1 && part.0 <= *last)
                .map(|(id, (start, last, _))| Standing { id: id.clone(), start: ts(*start), last: ts(*last) })
                .collect();
            standing.sort_by_key(|s| s.start);
            let steps = reconciled(&standing, &asked(moments, part), (ts(part.0), ts(part.1)), times);
            let second = |at: Timestamp| at.0 / 1_000_000;
            for step in steps {
                match step {
                    Step::Raise(e) => {
                        self.raised += 1;
                        let id = format!("alt_{}", self.raised).parse().unwrap();
                        self.alerts.insert(id, (second(e.start), second(e.end), e.value.unwrap()));
                    }
                    Step::Keep { id, start, last, first } => {
                        let known = self.alerts.get_mut(&id).unwrap();
                        let value = first.map_or(known.2, |first| first.value.unwrap());
                        *known = (second(start), second(last), value);
                    }
                    Step::Withdraw(id) => {
                        self.alerts.remove(&id).unwrap();
                    }
                }
            }
        }

        fn spans(&self) -> Vec<(i64, i64, String)> {
            let mut spans: Vec<_> = self.alerts.values().map(|(s, l, v)| (*s, *l, v.to_string())).collect();
            spans.sort_unstable();
            spans
        }
    }

    fn span(start: i64, last: i64, value: &str) -> (i64, i64, String) {
        (start, last, value.to_owned())
    }

    fn times(min_duration_s: i64) -> Times {
        Times { quiet_us: QUIET_S * 1_000_000, min_duration_us: min_duration_s * 1_000_000 }
    }

    fn at_once(moments: &BTreeSet<i64>, times: Times) -> Vec<(i64, i64, String)> {
        let long = asked(moments, (i64::MIN / 2_000_000, i64::MAX / 2_000_000));
        let long = long.into_iter().filter(|e| e.end.since_us(e.start) >= times.min_duration_us);
        long.map(|e| (e.start.0 / 1_000_000, e.end.0 / 1_000_000, e.value.unwrap().to_string())).collect()
    }

    #[test]
    fn one_goes_on_is_split_joined_and_taken_back() {
        let times = times(0);
        let mut kept = Kept::default();
        let mut moments: BTreeSet<i64> = (100..200).collect();
        kept.take(&moments, (100, 199), times);
        let first: Vec<AlertId> = kept.alerts.keys().cloned().collect();
        moments.extend(200..260);
        kept.take(&moments, (200, 259), times);
        assert_eq!(kept.spans(), [span(100, 259, "100")]);
        assert_eq!(kept.alerts.keys().cloned().collect::<Vec<_>>(), first, "it is the same one");
        // Later data says that it was not so for a while in the middle.
        moments.retain(|m| !(140..160).contains(m));
        kept.take(&moments, (140, 159), times);
        assert_eq!(kept.spans(), [span(100, 139, "100"), span(160, 259, "160")]);
        assert!(kept.alerts.contains_key(&first[0]));
        moments.extend([145, 153]);
        kept.take(&moments, (145, 153), times);
        assert_eq!(kept.spans(), [span(100, 259, "100")], "the one that was there first stays");
        assert!(kept.alerts.contains_key(&first[0]));
        moments.clear();
        kept.take(&moments, (90, 300), times);
        assert_eq!(kept.spans(), []);
    }

    #[test]
    fn what_is_too_short_is_none_until_it_has_lasted() {
        let times = times(30);
        let mut kept = Kept::default();
        let mut moments = BTreeSet::new();
        for second in 0..100 {
            moments.insert(second);
            kept.take(&moments, (second, second), times);
            assert_eq!(kept.alerts.len(), usize::from(second >= 30), "{second}");
        }
        assert_eq!(kept.spans(), [span(0, 99, "0")]);
        assert_eq!(kept.raised, 1);
    }

    proptest! {
        /// In whatever pieces and order it becomes known, and whatever is corrected: the alerts are those of all of it.
        #[test]
        fn alerts_are_those_of_the_whole_however_it_comes(
            changes in prop::collection::vec((0_i64..400, 1_i64..60, any::<bool>(), 1_i64..7), 1..30),
            min_duration_s in prop::sample::select(vec![0_i64, 1, 15, 40]),
            wider in 0_i64..30,
        ) {
            let times = times(min_duration_s);
            let mut moments = BTreeSet::new();
            let mut kept = Kept::default();
            for (from, length, is_so, every) in changes {
                for moment in (from..from + length).step_by(usize::try_from(every).unwrap()) {
                    if is_so { moments.insert(moment); } else { moments.remove(&moment); }
                }
                kept.take(&moments, (from - wider, from + length - 1 + wider), times);
                prop_assert_eq!(kept.spans(), at_once(&moments, times));
            }
        }
    }
}
