//! What is worked out once for each column of a catalogue: its columns come again in every batch.

use std::ptr;

use wire::catalog::{Catalog, ColumnDef};

/// Something of each column of the catalogues there are, which are few.
pub(super) struct PerColumn<'a, T> {
    catalogs: Vec<(&'a Catalog, Vec<Option<T>>)>,
    /// The one asked for last, and so mostly the next.
    last: usize,
}

impl<T> Default for PerColumn<'_, T> {
    fn default() -> Self {
        Self { catalogs: Vec::new(), last: 0 }
    }
}

impl<'a, T: Copy> PerColumn<'a, T> {
    /// The column, and what `make` makes of it; `None` when the catalogue lacks it.
    pub(super) fn of<E>(
        &mut self,
        catalog: &'a Catalog,
        column_id: u32,
        make: impl FnOnce(&'a ColumnDef) -> Result<T, E>,
    ) -> Result<Option<(&'a ColumnDef, T)>, E> {
        let is_it = |(known, _): &(&Catalog, _)| ptr::eq(*known, catalog);
        if !self.catalogs.get(self.last).is_some_and(is_it) {
            self.last = self.catalogs.iter().position(is_it).unwrap_or(self.catalogs.len());
            if self.last == self.catalogs.len() {
                self.catalogs.push((catalog, vec![None; catalog.columns.len()]));
            }
        }
        let Some(place) = catalog.position(column_id) else { return Ok(None) };
        let made = self.catalogs.get_mut(self.last).and_then(|(_, made)| made.get_mut(place));
        let (Some(def), Some(made)) = (catalog.columns.get(place), made) else { return Ok(None) };
        let value = match made {
            Some(value) => *value,
            None => *made.insert(make(def)?),
        };
        Ok(Some((def, value)))
    }
}
