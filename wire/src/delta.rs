//! Delta codings. Differences wrap, so every `i64` series has a coding and decoding is total.

/// First value, then differences.
pub(crate) fn delta(values: &[i64]) -> Vec<i64> {
    let mut last = 0_i64;
    values
        .iter()
        .map(|&v| {
            let d = v.wrapping_sub(last);
            last = v;
            d
        })
        .collect()
}

/// Inverse of [`delta`], in place.
pub(crate) fn undelta(coded: &mut [i64]) {
    let mut last = 0_i64;
    for value in coded {
        last = last.wrapping_add(*value);
        *value = last;
    }
}

/// First value, first difference, then differences of differences.
pub(crate) fn delta_of_delta(values: &[i64]) -> Vec<i64> {
    let mut out = delta(values);
    if let [_, rest @ ..] = out.as_mut_slice() {
        let coded = delta(rest);
        rest.copy_from_slice(&coded);
    }
    out
}

/// Inverse of [`delta_of_delta`], in place.
pub(crate) fn undelta_of_delta(coded: &mut [i64]) {
    if let [_, rest @ ..] = coded {
        undelta(rest);
    }
    undelta(coded);
}

/// Lengths of alternating runs, present first; empty when all are present.
pub(crate) fn presence_runs(present: &[bool]) -> Vec<u32> {
    if present.iter().all(|&p| p) {
        return Vec::new();
    }
    let mut runs = vec![0_u32];
    let mut current = true;
    for &p in present {
        if p != current {
            runs.push(0);
            current = p;
        }
        if let Some(run) = runs.last_mut() {
            *run += 1;
        }
    }
    runs
}

/// Inverse of [`presence_runs`]; `None` when the runs do not add up to `rows`.
pub(crate) fn presence(runs: &[u32], rows: usize) -> Option<Vec<bool>> {
    if runs.is_empty() {
        return Some(vec![true; rows]);
    }
    let total = runs.iter().try_fold(0_usize, |sum, &run| sum.checked_add(run as usize))?;
    if total != rows {
        return None;
    }
    let mut out = Vec::with_capacity(rows);
    for (i, &run) in runs.iter().enumerate() {
        out.resize(out.len() + run as usize, i % 2 == 0);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_series_comes_back(values: Vec<i64>) {
            let (mut once, mut twice) = (delta(&values), delta_of_delta(&values));
            undelta(&mut once);
            undelta_of_delta(&mut twice);
            prop_assert_eq!(&once, &values);
            prop_assert_eq!(&twice, &values);
        }

        #[test]
        fn any_presence_comes_back(present: Vec<bool>) {
            prop_assert_eq!(presence(&presence_runs(&present), present.len()), Some(present));
        }
    }

    #[test]
    fn a_steady_clock_costs_zeros() {
        assert_eq!(delta_of_delta(&[5, 15, 25, 35]), [5, 10, 0, 0]);
        assert_eq!(presence(&[u32::MAX, u32::MAX], 3), None);
    }
}
