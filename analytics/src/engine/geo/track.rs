//! `track_geojson(latitude, longitude ORDER BY ts)`: the places of a group as one GeoJSON line.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Builder, ListBuilder},
    datatypes::{DataType, Field, FieldRef, Float64Type},
};
use datafusion::{
    common::{ScalarValue, exec_err},
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
    let signature = Signature::exact(vec![DataType::Float64, DataType::Float64], Volatility::Immutable);
    AggregateUDF::new_from_impl(TrackGeojson { signature })
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

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Track::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = || DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)));
        let name = |what: &str| format!("{}[{what}]", args.name);
        let fields = [name("longitude"), name("latitude")].map(|name| Arc::new(Field::new(name, list(), true)));
        Ok(fields.to_vec())
    }

    /// The rows come in the order that is asked for, or the line is nonsense: so it is made in one place.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::HardRequirement
    }
}

#[derive(Debug, Default)]
struct Track {
    places: Vec<Coord>,
}

impl Accumulator for Track {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [latitude, longitude] = values else { return exec_err!("track_geojson takes two arguments") };
        self.places.extend(places(latitude, longitude).flatten());
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let line = LineString::new(std::mem::take(&mut self.places));
        // One place is no line (RFC 7946, 3.1.4).
        Ok(ScalarValue::Utf8((line.0.len() > 1).then(|| line_geojson(&line))))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.places.capacity() * size_of::<Coord>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |of: fn(&Coord) -> f64| {
            let mut lists = ListBuilder::new(Float64Builder::new());
            lists.append_value(self.places.iter().map(|place| Some(of(place))));
            ScalarValue::List(Arc::new(lists.finish()))
        };
        Ok(vec![list(|place| place.x), list(|place| place.y)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [longitudes, latitudes] = states else { return exec_err!("track_geojson merges two lists") };
        let lists = longitudes.as_list::<i32>().iter().zip(latitudes.as_list::<i32>().iter());
        for (longitudes, latitudes) in lists {
            let Some((x, y)) = longitudes.zip(latitudes) else { continue };
            let (x, y) = (x.as_primitive::<Float64Type>(), y.as_primitive::<Float64Type>());
            let places = x.values().iter().zip(y.values()).map(|(x, y)| Coord { x: *x, y: *y });
            self.places.extend(places);
        }
        Ok(())
    }
}
