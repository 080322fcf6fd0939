//! The latest value of every column, for who looks at a running agent.

use std::sync::{Mutex, PoisonError};

use wire::time::Timestamp;

use crate::map::{MappedSample, RawValue};

/// What is known of one column.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct LatestRow {
    /// Its last value, of those seen on the bus, collected or not.
    pub(crate) value: Option<RawValue>,
    /// When that was.
    pub(crate) time: Timestamp,
    /// How many there were.
    pub(crate) count: u64,
}

/// One row a column, by column id. The collecting thread writes it a frame at a time under a
/// lock that is free but for the moment somebody looks.
#[derive(Debug, Default)]
pub(crate) struct LatestTable(Mutex<Vec<LatestRow>>);

impl LatestTable {
    /// Notes the samples of one frame.
    pub(crate) fn observe(&self, time: Timestamp, samples: &[MappedSample]) {
        if samples.is_empty() {
            return;
        }
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for sample in samples {
            // Column ids are dense from 0, so this grows to the catalogue's length and stays.
            let i = sample.column_id as usize;
            if i >= rows.len() {
                rows.resize(i + 1, LatestRow::default());
            }
            let count = rows[i].count + 1;
            rows[i] = LatestRow { value: Some(sample.value), time, count };
        }
    }

    /// Every row as it stands.
    pub(crate) fn rows(&self) -> Vec<LatestRow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
