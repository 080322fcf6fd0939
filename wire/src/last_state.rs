//! What is known of a vehicle now: the newest value of each column of `readings`.
//!
//! Ingest makes it of batches as they come, before they are in the lake; whoever shows a live map
//! takes it from ingest in the same process or from Redis. It is a view: what is lost of it the
//! lake tells a moment later.

use prost::Message;

use crate::{
    ids::{IdError, VehicleId},
    proto,
    readings::{COLUMNS, column_by_name},
    time::Timestamp,
};

/// Bytes of one at most: names and values of all columns, with room for those of later releases.
pub const LAST_STATE_BYTES_MAX: usize = 16 * 1024;

/// Redis: a hash of each vehicle's state, by its id.
pub const STATES_KEY: &str = "roadlake:last-state:states";
/// Redis: a hash of each vehicle's event time in microseconds, by its id.
pub const TIMES_KEY: &str = "roadlake:last-state:times";
/// Redis: the channel that tells each state as it changes.
pub const CHANGES_CHANNEL: &str = "roadlake:last-state:changes";

/// The newest known value of each column of `readings`, of one vehicle.
#[derive(Debug, Clone, PartialEq)]
pub struct LastState {
    /// Which vehicle.
    pub vehicle_id: VehicleId,
    /// Event time of its newest reading.
    pub ts: Timestamp,
    /// Our time when the batch of that reading came.
    pub received_at: Timestamp,
    /// One a column, in the order of [`COLUMNS`].
    values: Vec<Option<f64>>,
}

/// Why bytes are no state.
#[derive(Debug, thiserror::Error)]
pub enum DecodeLastStateError {
    /// More than one has.
    #[error("a last state of {0} bytes is too long")]
    Length(usize),
    /// Not protobuf of it.
    #[error("the bytes are no last state")]
    Protobuf(#[from] prost::DecodeError),
    /// Of nobody.
    #[error("the vehicle's id")]
    Id(#[from] IdError),
}

impl LastState {
    /// One that knows no value yet.
    pub fn new(vehicle_id: VehicleId, ts: Timestamp, received_at: Timestamp) -> Self {
        Self { vehicle_id, ts, received_at, values: vec![None; COLUMNS.len()] }
    }

    /// The value of a column, by its index in [`COLUMNS`].
    pub fn value(&self, column: usize) -> Option<f64> {
        self.values.get(column).copied().flatten()
    }

    /// The value of a column, by its name.
    pub fn number(&self, column: &str) -> Option<f64> {
        column_by_name(column).and_then(|i| self.value(i))
    }

    /// Sets the value of a column; what is no number is passed over.
    pub fn set(&mut self, column: usize, value: f64) {
        if let Some(place) = self.values.get_mut(column).filter(|_| value.is_finite()) {
            *place = Some(value);
        }
    }

    /// What this one does not tell is taken from an older one: a vehicle sends what changed. A
    /// position is one thing, so latitude and longitude are taken both or neither.
    #[must_use]
    pub fn completed_from(mut self, older: &Self) -> Self {
        let (latitude, longitude) = (column_by_name("latitude"), column_by_name("longitude"));
        let has_fix = [latitude, longitude].into_iter().flatten().all(|i| self.value(i).is_some());
        for (i, (own, old)) in self.values.iter_mut().zip(&older.values).enumerate() {
            let is_position = Some(i) == latitude || Some(i) == longitude;
            if is_position && !has_fix {
                *own = *old;
            } else if !is_position {
                *own = own.or(*old);
            }
        }
        self.received_at = self.received_at.max(older.received_at);
        self
    }

    /// The bytes that travel.
    pub fn encode(&self) -> Vec<u8> {
        let named = COLUMNS.iter().zip(&self.values);
        let message = proto::LastState {
            vehicle_id: self.vehicle_id.to_string(),
            ts_us: self.ts.0,
            received_at_us: self.received_at.0,
            values: named.filter_map(|(c, value)| Some((c.name.to_owned(), (*value)?))).collect(),
        };
        message.encode_to_vec()
    }

    /// Reads the bytes that travel; columns this release does not know are passed over.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeLastStateError> {
        if bytes.len() > LAST_STATE_BYTES_MAX {
            return Err(DecodeLastStateError::Length(bytes.len()));
        }
        let message = proto::LastState::decode(bytes)?;
        let (ts, received_at) = (Timestamp(message.ts_us), Timestamp(message.received_at_us));
        let mut state = Self::new(message.vehicle_id.parse()?, ts, received_at);
        for (name, value) in message.values {
            if let Some(column) = column_by_name(&name) {
                state.set(column, value);
            }
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test: a failure is the message")]

    use proptest::prelude::*;

    use super::*;

    fn state(ts: i64, values: &[(&str, f64)]) -> LastState {
        let mut state = LastState::new("car-1".parse().unwrap(), Timestamp(ts), Timestamp(ts + 5));
        for (name, value) in values {
            state.set(column_by_name(name).unwrap(), *value);
        }
        state
    }

    #[test]
    fn what_a_newer_one_does_not_tell_stays_as_it_was() {
        let older = state(1, &[("latitude", 48.0), ("longitude", 9.0), ("speed_kmh", 30.0)]);
        let newer = state(2, &[("longitude", 9.5), ("odometer_km", 7.0)]).completed_from(&older);
        assert_eq!(newer.ts, Timestamp(2));
        assert_eq!(newer.number("speed_kmh"), Some(30.0));
        assert_eq!(newer.number("odometer_km"), Some(7.0));
        // Half a position is none.
        assert_eq!((newer.number("latitude"), newer.number("longitude")), (Some(48.0), Some(9.0)));
        let moved = state(3, &[("latitude", 1.0), ("longitude", 2.0)]).completed_from(&newer);
        assert_eq!((moved.number("latitude"), moved.number("longitude")), (Some(1.0), Some(2.0)));
    }

    #[test]
    fn columns_of_a_later_release_and_what_is_no_number_are_passed_over() {
        let values = [("speed_kmh", 1.0), ("from_2030", 2.0), ("soc_pct", f64::NAN)];
        let message = proto::LastState {
            vehicle_id: "car-1".to_owned(),
            ts_us: 1,
            received_at_us: 2,
            values: values.map(|(name, value)| (name.to_owned(), value)).into(),
        };
        let state = LastState::decode(&message.encode_to_vec()).unwrap();
        assert_eq!((state.number("speed_kmh"), state.number("soc_pct")), (Some(1.0), None));
        let nobody = proto::LastState { vehicle_id: "Car 1".to_owned(), ..message };
        assert!(matches!(LastState::decode(&nobody.encode_to_vec()), Err(DecodeLastStateError::Id(_))));
        assert!(matches!(LastState::decode(&[0; 20_000]), Err(DecodeLastStateError::Length(20_000))));
    }

    /// The bytes of this release must read forever.
    #[test]
    fn the_golden_file_reads() {
        let golden = include_bytes!("../golden/last-state-v1.pb");
        let state = LastState::decode(golden).unwrap();
        let expected = self::state(
            1_760_000_000_000_000,
            &[("latitude", 48.5), ("longitude", 9.25), ("ignition_on", 1.0)],
        );
        assert_eq!(state, expected);
    }

    proptest! {
        #[test]
        fn it_comes_back_as_it_went(
            ts in any::<i64>(), values in prop::collection::vec(prop::option::of(-1e9_f64..1e9), COLUMNS.len()),
        ) {
            let mut state = LastState::new("car-1".parse().unwrap(), Timestamp(ts), Timestamp(ts));
            values.iter().enumerate().for_each(|(i, v)| if let Some(v) = v { state.set(i, *v) });
            prop_assert_eq!(LastState::decode(&state.encode()).unwrap(), state);
        }

        #[test]
        fn any_bytes_are_a_state_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = LastState::decode(&bytes);
        }
    }
}
