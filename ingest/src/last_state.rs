//! What is known of each vehicle now, from batches as they come: for live maps, before the lake.
//!
//! A view and no record: whoever listens in this process gets each change by a broadcast, others
//! by Redis (`shared.rs`). Neither ever holds the pipeline up: a listener that is too slow misses
//! some (*shed*), as does Redis while it cannot be reached (counted), and the lake tells the same a
//! moment later. Of a vehicle only what is newer by event time counts, so that data that comes
//! late or twice changes nothing.
//!
//! Bounds: one state a vehicle of this instance; [`CHANGES_MAX`] changes for a slow listener.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use tokio::sync::{broadcast, mpsc};
use wire::{
    batch::{Column, Group, Table, Values},
    catalog::ColumnDef,
    ids::VehicleId,
    last_state::LastState,
    readings::{COLUMNS, ReadingKind, column_of_signal},
};

use crate::{metrics, verify::Verified};

pub mod shared;

/// Changes kept for a listener that is behind.
pub const CHANGES_MAX: usize = 65_536;

/// The states of the vehicles of this instance.
#[derive(Debug)]
pub struct LastStates {
    known: HashMap<VehicleId, LastState>,
    changes: broadcast::Sender<Arc<LastState>>,
    shared: Option<mpsc::Sender<Arc<LastState>>>,
}

impl LastStates {
    /// Without any, for listeners in this process.
    pub fn new() -> Self {
        Self { known: HashMap::new(), changes: broadcast::Sender::new(CHANGES_MAX), shared: None }
    }

    /// The same, beginning with what was known before and told to other processes.
    #[must_use]
    pub fn with_shared(mut self, known: Vec<LastState>, shared: mpsc::Sender<Arc<LastState>>) -> Self {
        self.known = known.into_iter().map(|state| (state.vehicle_id.clone(), state)).collect();
        self.shared = Some(shared);
        self
    }

    /// Where changes are told.
    pub fn changes(&self) -> broadcast::Sender<Arc<LastState>> {
        self.changes.clone()
    }

    /// Takes a batch that will be stored.
    pub fn note(&mut self, verified: &Verified) {
        let Some(state) = state_of(verified) else { return };
        let state = match self.known.entry(state.vehicle_id.clone()) {
            Entry::Vacant(place) => place.insert(state).clone(),
            Entry::Occupied(mut place) => {
                if state.ts <= place.get().ts {
                    return;
                }
                let state = state.completed_from(place.get());
                place.insert(state.clone());
                state
            }
        };
        let state = Arc::new(state);
        // Nobody may listen.
        drop(self.changes.send(Arc::clone(&state)));
        if let Some(shared) = &self.shared
            && shared.try_send(state).is_err()
        {
            metrics::last_states_shed(1);
        }
    }
}

impl Default for LastStates {
    fn default() -> Self {
        Self::new()
    }
}

/// The newest value of each column in a batch; `None` when it has no reading.
fn state_of(verified: &Verified) -> Option<LastState> {
    let batch = &verified.batch;
    let groups = || batch.groups.iter().filter(|group| group.table == Table::Readings);
    let newest = groups().flat_map(|group| &group.times_us).copied().max()?;
    let newest = batch.base_time.plus_us(newest);
    let mut state = LastState::new(batch.vehicle_id.clone(), newest, verified.received_at);
    // When each value was, so that of several groups the newest counts.
    let mut since: Vec<Option<i64>> = vec![None; COLUMNS.len()];
    for group in groups() {
        for column in &group.columns {
            let Some(def) = verified.catalog.column(column.column_id) else { continue };
            let Some(place) = column_of_signal(&def.signal) else { continue };
            let Some((us, value)) = newest_of(group, column, def, place) else { continue };
            if since[place].is_none_or(|known| known <= us) {
                since[place] = Some(us);
                state.set(place, value);
            }
        }
    }
    Some(state)
}

/// A column's value of the newest time (microseconds after the batch's), in the unit of the
/// `readings` column.
fn newest_of(group: &Group, column: &Column, def: &ColumnDef, place: usize) -> Option<(i64, f64)> {
    let reading = COLUMNS.get(place)?;
    let times = column.present.present_rows().filter_map(|row| group.times_us.get(row).copied());
    let (i, us) = times.enumerate().max_by_key(|(_, us)| *us)?;
    let value = match &column.values {
        Values::Raw(values) => def.scaled(*values.get(i)?),
        Values::Number(values) => *values.get(i)?,
        Values::Text(_) => return None,
    };
    Some((
        us,
        match reading.kind {
            ReadingKind::Number => value * reading.scale,
            ReadingKind::Boolean => f64::from(u8::from(value != 0.0)),
        },
    ))
}

#[cfg(test)]
mod tests;
