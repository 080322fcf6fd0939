//! `gapfill('Vehicle.Speed', '10 minutes', from, to)`: a row for every step, whether there was a sample in it.

use std::sync::Arc;

use arrow::{
    compute::kernels::cast_utils::{parse_interval_month_day_nano, string_to_timestamp_nanos},
    datatypes::IntervalMonthDayNano,
};
use datafusion::{
    catalog::{TableFunctionImpl, TableProvider, view::ViewTable},
    common::plan_err,
    error::Result,
    execution::SessionState,
    logical_expr::Expr,
};
use wire::readings::COLUMNS;

use super::table_functions::text;

/// Steps of one call, a vehicle.
const STEPS_MAX: i64 = 100_000;
const DAY_US: i64 = 86_400_000_000;

/// The function.
#[derive(Debug)]
pub(super) struct Gapfill {
    pub(super) state: SessionState,
}

impl TableFunctionImpl for Gapfill {
    fn call(&self, args: &[Expr]) -> Result<Arc<dyn TableProvider>> {
        let texts: Option<Vec<&str>> = args.iter().map(text).collect();
        let Some([signal, step, from, to]) = texts.as_deref() else {
            return plan_err!(
                "gapfill takes a signal or a column of readings, a step, and from when to when, as texts: \
                 gapfill('Vehicle.Speed', '10 minutes', '2024-05-01', '2024-05-02T12:00:00Z')"
            );
        };
        let signal = COLUMNS.iter().find(|column| column.name == *signal).map_or(*signal, |c| c.signal);
        let Some(step_us) = step_us(step) else {
            return plan_err!(
                "gapfill takes a step of weeks to milliseconds, '10 minutes'; '{step}' is none"
            );
        };
        let (from_us, to_us) = (time_us(from)?, time_us(to)?);
        let span_us = to_us.saturating_sub(from_us);
        if span_us <= 0 {
            return plan_err!("gapfill: '{to}' is not after '{from}'");
        }
        let steps = span_us / step_us + i64::from(span_us % step_us > 0);
        if steps > STEPS_MAX {
            return plan_err!("gapfill: {steps} steps are more than {STEPS_MAX}; take longer ones");
        }
        let query = STEPS
            .replace("$signal", &signal.replace('\'', "''"))
            .replace("$last_step", &(steps - 1).to_string())
            .replace("$step_us", &step_us.to_string())
            .replace("$from_us", &from_us.to_string())
            .replace("$to_us", &to_us.to_string());
        // The session's tables are in memory, so planning waits for nothing.
        let plan = futures::executor::block_on(self.state.create_logical_plan(&query))?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

/// A step of one length: months have none.
fn step_us(step: &str) -> Option<i64> {
    let IntervalMonthDayNano { months, days, nanoseconds } = parse_interval_month_day_nano(step).ok()?;
    let us = i64::from(days).checked_mul(DAY_US)?.checked_add(nanoseconds / 1000)?;
    (months == 0 && us >= 1000).then_some(us)
}

fn time_us(text: &str) -> Result<i64> {
    match string_to_timestamp_nanos(text) {
        Ok(ns) => Ok(ns.div_euclid(1000)),
        Err(_) => {
            plan_err!("gapfill takes times such as '2024-05-01' or '2024-05-01T12:00:00Z'; '{text}' is none")
        }
    }
}

/// Vehicles that have any sample in the time, beside all steps of it.
const STEPS: &str = "
WITH told AS (
  SELECT vehicle_id, (CAST(ts AS BIGINT) - $from_us) / $step_us AS step, min(value) AS minimum,
         avg(value) AS mean, max(value) AS maximum, last_value(value ORDER BY ts) AS last,
         count(value) AS sample_count
  FROM signal('$signal')
  WHERE ts >= to_timestamp_micros($from_us) AND ts < to_timestamp_micros($to_us)
    AND date >= CAST(to_timestamp_micros($from_us) AS DATE)
    AND date <= CAST(to_timestamp_micros($to_us) AS DATE) AND value IS NOT NULL
  GROUP BY 1, 2),
steps AS (
  SELECT vehicle_id, value AS step
  FROM (SELECT DISTINCT vehicle_id FROM told) v CROSS JOIN generate_series(0, $last_step) s),
filled AS (
  SELECT s.vehicle_id, s.step, t.minimum, t.mean, t.maximum, t.last,
         coalesce(t.sample_count, 0) AS sample_count
  FROM steps s LEFT JOIN told t ON s.vehicle_id = t.vehicle_id AND s.step = t.step)
SELECT vehicle_id,
       arrow_cast($from_us + step * $step_us, 'Timestamp(Microsecond, Some(\"UTC\"))') AS bucket,
       minimum, mean, maximum, sample_count,
       locf(last) OVER (PARTITION BY vehicle_id ORDER BY step) AS value_locf,
       interpolate(mean, step) OVER (PARTITION BY vehicle_id ORDER BY step) AS mean_interpolated
FROM filled";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_one_length() {
        assert_eq!(step_us("10 minutes"), Some(600_000_000));
        assert_eq!(step_us("1 week"), Some(7 * DAY_US));
        assert_eq!(step_us("250 milliseconds"), Some(250_000));
        for none in ["1 month", "2 years", "-1 hour", "0 seconds", "soon", ""] {
            assert_eq!(step_us(none), None, "{none}");
        }
        assert_eq!(time_us("2024-05-01T08:00:00Z").unwrap(), 1_714_550_400_000_000);
        assert_eq!(time_us("2024-05-01 08:00:00").unwrap(), 1_714_550_400_000_000);
        assert!(time_us("May").is_err());
    }
}
