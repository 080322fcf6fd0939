//! SQL functions of ours.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Float64Array},
    datatypes::{DataType, Float64Type},
};
use datafusion::{
    common::{ScalarValue, exec_err},
    error::Result,
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
    prelude::SessionContext,
};

use super::{counter, geo, windows};
use crate::trips::{Fix, haversine_m};

/// Adds every function of ours to DataFusion's own.
pub(super) fn add(context: &SessionContext) {
    let haversine = udf("haversine_m", vec![DataType::Float64; 4], DataType::Float64, haversine_metres);
    [haversine, time_bucket()].into_iter().chain(geo::scalars()).for_each(|udf| context.register_udf(udf));
    context.register_udaf(counter::counter_used());
    geo::aggregates().into_iter().for_each(|udaf| context.register_udaf(udaf));
    windows::all().into_iter().for_each(|udwf| context.register_udwf(udwf));
}

/// `time_bucket(interval, ts)`: DataFusion's `date_bin` by the name that TimescaleDB gave it.
fn time_bucket() -> ScalarUDF {
    datafusion::functions::datetime::date_bin().as_ref().clone().with_aliases(["time_bucket"])
}

/// A function of arrays, all of one length.
pub(super) fn udf(
    name: &'static str,
    takes: Vec<DataType>,
    gives: DataType,
    of: fn(&[ArrayRef]) -> Result<ArrayRef>,
) -> ScalarUDF {
    let of_values = move |args: &[ColumnarValue]| {
        let is_scalar = args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let array = of(&ColumnarValue::values_to_arrays(args)?)?;
        Ok(if is_scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(array.as_ref(), 0)?)
        } else {
            ColumnarValue::Array(array)
        })
    };
    create_udf(name, takes, gives, Volatility::Immutable, Arc::new(of_values))
}

/// `haversine_m(latitude1, longitude1, latitude2, longitude2)`: metres over ground, null where any is.
fn haversine_metres(args: &[ArrayRef]) -> Result<ArrayRef> {
    let degrees: Vec<&Float64Array> = args.iter().map(|a| a.as_primitive::<Float64Type>()).collect();
    let [lat1, lon1, lat2, lon2] = degrees.as_slice() else {
        return exec_err!("haversine_m takes four arguments");
    };
    let from = lat1.iter().zip(lon1.iter());
    let to = lat2.iter().zip(lon2.iter());
    let metres = from.zip(to).map(|((lat1, lon1), (lat2, lon2))| {
        let from = Fix { latitude: lat1?, longitude: lon1? };
        Some(haversine_m(from, Fix { latitude: lat2?, longitude: lon2? }))
    });
    Ok(Arc::new(metres.collect::<Float64Array>()))
}
