//! `track_geojson(latitude, longitude, ts)`: the places of a group as one GeoJSON line, by time.

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
use geo::{Coord, LineString};

use super::{line_geojson, places};

/// The aggregate.
pub(super) fn track_geojson() -> AggregateUDF {
    AggregateUDF::new_from_impl(TrackGeojson { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TrackGeojson {
    signature: Signature,
}

impl AggregateUDFImpl for TrackGeojson {
    fn name(&self) -> &'static str {
        "track_geojson"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [latitude, longitude, DataType::Timestamp(..)]
                if [latitude, longitude].into_iter().all(|of| of.is_numeric() || of.is_null()) =>
            {
                let ts = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
                Ok(vec![DataType::Float64, DataType::Float64, ts])
            }
            _ => plan_err!("track_geojson takes degrees and a time: track_geojson(latitude, longitude, ts)"),
        }
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Track::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |what: &str, of: DataType| {
            let list = DataType::List(Arc::new(Field::new_list_field(of, true)));
            Arc::new(Field::new(format!("{}[{what}]", args.name), list, true))
        };
        let [longitude, latitude] = ["longitude", "latitude"].map(|what| list(what, DataType::Float64));
        Ok(vec![longitude, latitude, list("ts", DataType::Int64)])
    }

    /// It sorts by itself, so parts come in any order.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// Times in microseconds, and places, as they come.
#[derive(Debug, Default)]
struct Track {
    places: Vec<(i64, Coord)>,
}

impl Accumulator for Track {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [latitude, longitude, ts] = values else {
            return exec_err!("track_geojson takes three arguments");
        };
        let ts = ts.as_primitive::<TimestampMicrosecondType>();
        let known = ts.iter().zip(places(latitude, longitude)).filter_map(|(ts, place)| ts.zip(place));
        self.places.extend(known);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut places = std::mem::take(&mut self.places);
        places.sort_by_key(|(ts, _)| *ts);
        let line: LineString = places.into_iter().map(|(_, place)| place).collect();
        // One place is no line (RFC 7946, 3.1.4).
        Ok(ScalarValue::Utf8((line.0.len() > 1).then(|| line_geojson(&line))))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.places.capacity() * size_of::<(i64, Coord)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let degrees = |of: fn(&Coord) -> f64| {
            let mut lists = ListBuilder::new(Float64Builder::new());
            lists.append_value(self.places.iter().map(|(_, place)| Some(of(place))));
            ScalarValue::List(Arc::new(lists.finish()))
        };
        let mut times = ListBuilder::new(Int64Builder::new());
        times.append_value(self.places.iter().map(|(ts, _)| Some(*ts)));
        let times = ScalarValue::List(Arc::new(times.finish()));
        Ok(vec![degrees(|place| place.x), degrees(|place| place.y), times])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [longitudes, latitudes, times] = states else {
            return exec_err!("track_geojson merges three lists");
        };
        let [longitudes, latitudes, times] =
            [longitudes, latitudes, times].map(|lists| lists.as_list::<i32>());
        for ((longitudes, latitudes), times) in longitudes.iter().zip(latitudes.iter()).zip(times.iter()) {
            let (Some(x), Some(y), Some(times)) = (longitudes, latitudes, times) else { continue };
            let (x, y) = (x.as_primitive::<Float64Type>(), y.as_primitive::<Float64Type>());
            let places = x.values().iter().zip(y.values()).map(|(x, y)| Coord { x: *x, y: *y });
            self.places.extend(times.as_primitive::<Int64Type>().values().iter().copied().zip(places));
        }
        Ok(())
    }
}
