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
    }

    #[test]
    fn a_steady_clock_costs_zeros() {
        assert_eq!(delta_of_delta(&[5, 15, 25, 35]), [5, 10, 0, 0]);
    }
}
