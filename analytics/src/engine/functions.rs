//! SQL functions of ours.

use std::sync::Arc;

use arrow::{
    array::{AsArray, Float64Array},
    datatypes::{DataType, Float64Type},
};
use datafusion::{
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
    prelude::SessionContext,
};

use super::{geo, windows};
use crate::trips::{Fix, haversine_m};

/// Adds every function of ours to DataFusion's own.
pub(super) fn add(context: &SessionContext) {
    [haversine(), time_bucket()].into_iter().chain(geo::scalars()).for_each(|udf| context.register_udf(udf));
    geo::aggregates().into_iter().for_each(|udaf| context.register_udaf(udaf));
    windows::all().into_iter().for_each(|udwf| context.register_udwf(udwf));
}

/// `time_bucket(interval, ts)`: DataFusion's `date_bin` by the name that TimescaleDB gave it.
fn time_bucket() -> ScalarUDF {
    datafusion::functions::datetime::date_bin().as_ref().clone().with_aliases(["time_bucket"])
}

/// `haversine_m(latitude1, longitude1, latitude2, longitude2)`: metres over ground, null where any is.
fn haversine() -> ScalarUDF {
    let metres = |args: &[ColumnarValue]| {
        let is_scalar = args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(args)?;
        let degrees: Vec<&Float64Array> = arrays.iter().map(|a| a.as_primitive::<Float64Type>()).collect();
        let [lat1, lon1, lat2, lon2] = degrees.as_slice() else {
            return datafusion::common::exec_err!("haversine_m takes four arguments");
        };
        let from = lat1.iter().zip(lon1.iter());
        let to = lat2.iter().zip(lon2.iter());
        let metres: Float64Array = from
            .zip(to)
            .map(|((lat1, lon1), (lat2, lon2))| {
                let from = Fix { latitude: lat1?, longitude: lon1? };
                Some(haversine_m(from, Fix { latitude: lat2?, longitude: lon2? }))
            })
            .collect();
        let array = Arc::new(metres);
        if is_scalar {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(
                array.as_ref(),
                0,
            )?));
        }
        Ok(ColumnarValue::Array(array))
    };
    create_udf(
        "haversine_m",
        vec![DataType::Float64; 4],
        DataType::Float64,
        Volatility::Immutable,
        Arc::new(metres),
    )
}
