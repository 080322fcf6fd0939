//! Which step is due, and when the next is: pure.
//!
//! Steps are taken in their order, one at a time. A step that comes late, after a downtime or a pause, moves those
//! after it: each keeps its distance to the one before, so that nobody is reminded five times in a minute, or is
//! suspended in the moment of the first reminder.

use wire::time::{DAY_US, Timestamp};

use super::types::{DunningStep, TakenStep};

/// The step to take now, by its place in the policy, from 0.
pub fn due_step(
    steps: &[DunningStep],
    due_at: Timestamp,
    now: Timestamp,
    taken: &[TakenStep],
) -> Option<usize> {
    next_step(steps, due_at, taken).filter(|(_, at)| *at <= now).map(|(index, _)| index)
}

/// The step that comes next, and when it may be taken.
pub fn next_step(
    steps: &[DunningStep],
    due_at: Timestamp,
    taken: &[TakenStep],
) -> Option<(usize, Timestamp)> {
    let index = taken.len();
    let step = steps.get(index)?;
    let planned_at = due_at.plus_us(step.after_days.saturating_mul(DAY_US));
    let before = taken.last().and_then(|last| Some((last, steps.get(index.checked_sub(1)?)?)));
    let at = match before {
        Some((last, before)) => {
            let distance_us = step.after_days.saturating_sub(before.after_days).saturating_mul(DAY_US);
            planned_at.max(last.taken_at.plus_us(distance_us))
        }
        None => planned_at,
    };
    Some((index, at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::billing::dunning::types::DunningAction;

    fn steps(days: &[i64]) -> Vec<DunningStep> {
        days.iter()
            .map(|&after_days| DunningStep { after_days, actions: vec![DunningAction::Reminder] })
            .collect()
    }

    fn day(days: i64) -> Timestamp {
        Timestamp(1_795_000_000_000_000).plus_us(days * DAY_US)
    }

    fn taken(at: &[Timestamp]) -> Vec<TakenStep> {
        let step = |(number, at): (i64, &Timestamp)| TakenStep {
            number,
            taken_at: *at,
            actions: Vec::new(),
            retry: None,
        };
        (1..).zip(at).map(step).collect()
    }

    #[test]
    fn a_step_is_due_on_its_day_and_keeps_its_distance_to_one_that_was_late() {
        let policy = steps(&[-3, 1, 7, 30]);
        let just_before = |at: Timestamp| at.plus_us(-1);
        for (now, done, wanted) in [
            (just_before(day(-3)), vec![], None),
            (day(-3), vec![], Some(0)),
            // Late by much: still the first.
            (day(40), vec![], Some(0)),
            (day(0), vec![day(-3)], None),
            (just_before(day(1)), vec![day(-3)], None),
            (day(1), vec![day(-3)], Some(1)),
            // The first came on day 40 instead of -3; the second is four days after it, not at once.
            (day(40), vec![day(40)], None),
            (just_before(day(44)), vec![day(40)], None),
            (day(44), vec![day(40)], Some(1)),
            (day(50), vec![day(40), day(44)], Some(2)),
            (just_before(day(30)), vec![day(-3), day(1), day(7)], None),
            (day(30), vec![day(-3), day(1), day(7)], Some(3)),
            (day(3_000), vec![day(-3), day(1), day(7), day(30)], None),
        ] {
            assert_eq!(due_step(&policy, day(0), now, &taken(&done)), wanted, "{now} after {done:?}");
        }
        assert_eq!(due_step(&[], day(0), day(9), &[]), None, "no steps, no dunning");
        assert_eq!(next_step(&policy, day(0), &taken(&[day(40)])), Some((1, day(44))));
    }

    proptest! {
        /// However seldom and irregularly somebody looks: every step is taken once, in order, never before its
        /// day, never nearer to the one before than the policy says, and one that is looked for in time is in time.
        #[test]
        fn steps_come_in_order_once_and_never_too_near(
            gaps in prop::collection::vec(1_i64..40, 0..12),
            first in -60_i64..30,
            looks in prop::collection::vec(1_i64..30 * 24, 1..60),
        ) {
            let mut days = vec![first];
            for gap in &gaps {
                days.push(days[days.len() - 1] + gap);
            }
            let policy = steps(&days);
            let mut now = day(first - 1);
            let mut at: Vec<Timestamp> = Vec::new();
            // Then daily, for as long as the whole policy may take.
            let rest = std::iter::repeat_n(24, 700);
            for hours in looks.iter().copied().chain(rest) {
                let before = now;
                now = now.plus_us(hours * DAY_US / 24);
                let next = next_step(&policy, day(0), &taken(&at));
                if let Some(index) = due_step(&policy, day(0), now, &taken(&at)) {
                    prop_assert_eq!(index, at.len());
                    let (_, earliest) = next.unwrap();
                    prop_assert!(earliest <= now && now >= day(days[index]));
                    if let Some(last) = at.last() {
                        prop_assert!(now.since_us(*last) >= (days[index] - days[index - 1]) * DAY_US);
                    }
                    at.push(now);
                    // No second one in the same moment.
                    prop_assert_eq!(due_step(&policy, day(0), now, &taken(&at)), None);
                } else {
                    prop_assert!(next.is_none_or(|(_, earliest)| earliest > now));
                }
                prop_assert!(before < now);
            }
            prop_assert_eq!(at.len(), policy.len());
        }
    }
}
