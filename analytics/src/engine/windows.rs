//! Window functions: the last value that is known, and the value on the line between two.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, UInt64Array},
    compute::{cast, take},
    datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, TimeUnit},
};
use datafusion::{
    common::{exec_err, plan_err},
    error::Result,
    logical_expr::{
        LimitEffect, PartitionEvaluator, Signature, TypeSignature, Volatility, WindowUDF, WindowUDFImpl,
        function::{PartitionEvaluatorArgs, WindowUDFFieldArgs},
    },
    physical_expr::PhysicalExpr,
};

/// Every window function of ours.
pub(super) fn all() -> Vec<WindowUDF> {
    let any = Signature::any(1, Volatility::Immutable);
    let by_time = Signature::new(TypeSignature::Any(2), Volatility::Immutable);
    vec![
        WindowUDF::new_from_impl(Filled { how: How::LastKnown, signature: any }),
        WindowUDF::new_from_impl(Filled { how: How::Between, signature: by_time }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum How {
    /// `locf(x) OVER (… ORDER BY ts)`: the last value observed is carried forward.
    LastKnown,
    /// `interpolate(x, ts) OVER (… ORDER BY ts)`: on the straight line between the neighbours that are
    /// known; null before the first and after the last.
    Between,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Filled {
    how: How,
    signature: Signature,
}

impl WindowUDFImpl for Filled {
    fn name(&self) -> &'static str {
        match self.how {
            How::LastKnown => "locf",
            How::Between => "interpolate",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Filler { how: self.how }))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let types: Vec<&DataType> = args.input_fields().iter().map(|field| field.data_type()).collect();
        let data_type = match (self.how, types.as_slice()) {
            (How::LastKnown, [data_type]) => (*data_type).clone(),
            (How::Between, [value, ts]) => {
                if !value.is_numeric() && !value.is_null() {
                    return plan_err!("interpolate takes a number first, {value} is none");
                }
                if !matches!(ts, DataType::Timestamp(..)) && !ts.is_numeric() {
                    return plan_err!("interpolate takes a time second: interpolate(value, ts)");
                }
                DataType::Float64
            }
            _ => return plan_err!("{} takes other arguments", self.name()),
        };
        Ok(Arc::new(Field::new(args.name(), data_type, true)))
    }

    fn limit_effect(&self, _args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        match self.how {
            How::LastKnown => LimitEffect::None,
            // The next known value may lie anywhere.
            How::Between => LimitEffect::Unknown,
        }
    }
}

/// Takes a whole partition in its order.
#[derive(Debug)]
struct Filler {
    how: How,
}

impl PartitionEvaluator for Filler {
    fn evaluate_all(&mut self, values: &[ArrayRef], _num_rows: usize) -> Result<ArrayRef> {
        match (self.how, values) {
            (How::LastKnown, [values]) => last_known(values),
            (How::Between, [values, times]) => between(values, times),
            _ => exec_err!("a window function of ours got other arguments than it was planned with"),
        }
    }

    fn get_range(&self, _idx: usize, n_rows: usize) -> Result<Range<usize>> {
        Ok(0..n_rows)
    }
}

fn last_known(values: &ArrayRef) -> Result<ArrayRef> {
    let mut last = None;
    let places = (0..values.len()).map(|row| {
        if values.is_valid(row) {
            last = u64::try_from(row).ok();
        }
        last
    });
    let places: UInt64Array = places.collect();
    Ok(take(values, &places, None)?)
}

fn between(values: &ArrayRef, times: &ArrayRef) -> Result<ArrayRef> {
    let numbers = cast(values, &DataType::Float64)?;
    let numbers = numbers.as_primitive::<Float64Type>();
    let times = match times.data_type() {
        DataType::Timestamp(_, zone) => {
            cast(times, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?
        }
        _ => Arc::clone(times),
    };
    let times = cast(&times, &DataType::Int64)?;
    let times = times.as_primitive::<Int64Type>();
    let mut known: Vec<(i64, f64)> =
        times.iter().zip(numbers.iter()).filter_map(|(time, value)| time.zip(value)).collect();
    // Whichever way the rows are ordered.
    known.sort_by_key(|(time, _)| *time);
    let filled = times.iter().zip(numbers.iter()).map(|(time, value)| {
        if value.is_some() {
            return value;
        }
        let time = time?;
        let next = known.partition_point(|(at, _)| *at < time);
        let (after, before) = (known.get(next)?, known.get(next.checked_sub(1)?)?);
        Some(on_line(*before, *after, time))
    });
    Ok(Arc::new(filled.collect::<Float64Array>()))
}

/// Of what lies less than 2^53 µs apart, 285 years, exact to a rounding.
#[allow(clippy::cast_precision_loss, reason = "see above")]
fn on_line((t0, v0): (i64, f64), (t1, v1): (i64, f64), time: i64) -> f64 {
    let (passed, all) = (time.saturating_sub(t0), t1.saturating_sub(t0));
    if all == 0 { v0 } else { v0 + (v1 - v0) * (passed as f64 / all as f64) }
}
