//! `counter_used(counter, ts)`, also `fuel_used`: by how much a counter of a group rose, by time.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Float64Builder, Int64Builder, ListBuilder},
    datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType},
};
use datafusion::{
    common::{ScalarValue, exec_err, plan_err},
    error::Result,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::AggregateOrderSensitivity,
    },
};

/// The aggregate.
pub(super) fn counter_used() -> AggregateUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    AggregateUDF::new_from_impl(CounterUsed { signature, aliases: vec!["fuel_used".to_owned()] })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CounterUsed {
    signature: Signature,
    aliases: Vec<String>,
}

impl AggregateUDFImpl for CounterUsed {
    fn name(&self) -> &'static str {
        "counter_used"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [counter, DataType::Timestamp(..)] if counter.is_numeric() || counter.is_null() => {
                let ts = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
                Ok(vec![DataType::Float64, ts])
            }
            _ => plan_err!("counter_used takes a counter and a time: counter_used(fuel_used_l, ts)"),
        }
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Counted::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |what: &str, of: DataType| {
            let list = DataType::List(Arc::new(Field::new_list_field(of, true)));
            Arc::new(Field::new(format!("{}[{what}]", args.name), list, true))
        };
        Ok(vec![list("ts", DataType::Int64), list("counter", DataType::Float64)])
    }

    /// It sorts by itself, so parts come in any order.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// Times in microseconds, and what the counter showed, as they come.
#[derive(Debug, Default)]
struct Counted {
    shown: Vec<(i64, f64)>,
}

impl Accumulator for Counted {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [counter, ts] = values else { return exec_err!("counter_used takes two arguments") };
        let (counter, ts) =
            (counter.as_primitive::<Float64Type>(), ts.as_primitive::<TimestampMicrosecondType>());
        let known = ts.iter().zip(counter.iter()).filter_map(|(ts, shown)| ts.zip(shown));
        self.shown.extend(known.filter(|(_, shown)| shown.is_finite()));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut shown = std::mem::take(&mut self.shown);
        Ok(ScalarValue::Float64(used(&mut shown)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.shown.capacity() * size_of::<(i64, f64)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut times = ListBuilder::new(Int64Builder::new());
        times.append_value(self.shown.iter().map(|(ts, _)| Some(*ts)));
        let mut counters = ListBuilder::new(Float64Builder::new());
        counters.append_value(self.shown.iter().map(|(_, shown)| Some(*shown)));
        Ok(vec![ScalarValue::List(Arc::new(times.finish())), ScalarValue::List(Arc::new(counters.finish()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [times, counters] = states else { return exec_err!("counter_used merges two lists") };
        let (times, counters) = (times.as_list::<i32>(), counters.as_list::<i32>());
        for (times, counters) in times.iter().zip(counters.iter()) {
            let (Some(times), Some(counters)) = (times, counters) else { continue };
            let (times, counters) =
                (times.as_primitive::<Int64Type>(), counters.as_primitive::<Float64Type>());
            self.shown.extend(times.values().iter().copied().zip(counters.values().iter().copied()));
        }
        Ok(())
    }
}

/// The sum of its rises. One that falls was reset, or another unit took its place; what was used across that
/// is not known and adds nothing. Null for a counter that was not seen twice.
fn used(shown: &mut [(i64, f64)]) -> Option<f64> {
    // By value among those of one time, so that the order they come in does not matter.
    shown.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let rises = shown.windows(2).map(|pair| match pair {
        [(_, before), (_, after)] => (after - before).max(0.0),
        _ => 0.0,
    });
    (shown.len() > 1).then(|| rises.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_adds_nothing_and_order_does_not_matter() {
        let mut shown = [(3, 12.5), (1, 10.0), (4, 2.0), (5, 3.0), (2, 11.0)];
        assert_eq!(used(&mut shown), Some(3.5));
        assert_eq!(used(&mut [(1, 5.0)]), None);
        assert_eq!(used(&mut []), None);
        assert_eq!(used(&mut [(1, 5.0), (2, 5.0)]), Some(0.0));
    }
}
