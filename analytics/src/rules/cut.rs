//! Which rows a rule sees: those of a time, and of some vehicles.

use arrow::datatypes::Schema;
use datafusion::{
    common::ScalarValue,
    prelude::{Expr, col, lit},
};
use lake::{TableKind, Whose};
use wire::time::Timestamp;

/// The partition column.
const DAY: &str = "date";

/// A time, as the tables have them.
pub(super) fn time(ts: Timestamp) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(ts.0), Some("UTC".into())))
}

/// The condition on a table's rows: that they speak of a time in `[from, to]`, and of one of these vehicles. None for a
/// table that has no such columns.
pub(super) fn condition(
    kind: TableKind,
    schema: &Schema,
    (whose, (from, to)): (Option<&Whose>, (Timestamp, Timestamp)),
) -> Option<Expr> {
    let (start, end) = kind.times();
    for column in [start, end, DAY] {
        schema.field_with_name(column).ok()?;
    }
    let day = |ts: Timestamp| lit(ScalarValue::Date32(Some(ts.utc_day())));
    let mut seen = col(start).lt_eq(time(to)).and(col(DAY).lt_eq(day(to)));
    if start == end {
        seen = seen.and(col(start).gt_eq(time(from))).and(col(DAY).gt_eq(day(from)));
    } else {
        // What has no end yet goes on. The day is that of the start.
        seen = seen.and(col(end).gt_eq(time(from)).or(col(end).is_null()));
    }
    Some(match whose {
        Some(whose) => whose.condition().and(seen),
        None => seen,
    })
}
