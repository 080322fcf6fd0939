//! From a 29-bit id, or what is left of one, to a message: an open-addressed table.

/// Slots for each entry, so that a search ends after a step or two.
const SLOTS_PER_ENTRY: usize = 4;
const SLOT_COUNT_MIN: usize = 8;
/// 2^32 divided by the golden ratio (Knuth, 6.4): spreads ids that differ in few bits.
const SPREAD: u32 = 0x9E37_79B9;

#[derive(Debug, Clone, Copy)]
struct Slot {
    id: u32,
    /// [`super::NONE`] where the slot is free.
    message: u32,
}

const FREE: Slot = Slot { id: 0, message: super::NONE };

/// Messages by id. Grows as a file is compiled, then is only read.
#[derive(Debug, Clone)]
pub(super) struct IdTable {
    /// A power of two, most of them free.
    slots: Vec<Slot>,
    entry_count: usize,
}

impl IdTable {
    /// A table without entries.
    pub(super) fn new() -> Self {
        Self { slots: vec![FREE; SLOT_COUNT_MIN], entry_count: 0 }
    }

    /// The message of an id.
    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<u32> {
        let slot = self.slots.get(self.place(id))?;
        (slot.message != super::NONE).then_some(slot.message)
    }

    /// Gives an id that has none a message; says the one that it has then.
    pub(super) fn get_or_insert(&mut self, id: u32, message: u32) -> u32 {
        if let Some(known) = self.get(id) {
            return known;
        }
        if (self.entry_count + 1) * SLOTS_PER_ENTRY > self.slots.len() {
            let more = vec![FREE; self.slots.len() * 2];
            for slot in std::mem::replace(&mut self.slots, more) {
                if slot.message != super::NONE {
                    let place = self.place(slot.id);
                    self.slots[place] = slot;
                }
            }
        }
        let place = self.place(id);
        self.slots[place] = Slot { id, message };
        self.entry_count += 1;
        message
    }

    /// The slot of an id, or the free one where it would be.
    #[inline]
    fn place(&self, id: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut place = id.wrapping_mul(SPREAD) as usize;
        // The high bits of the product depend on all bits of the id.
        place = (place >> 16 ^ place) & mask;
        while self.slots[place].message != super::NONE && self.slots[place].id != id {
            place = (place + 1) & mask;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_answers_as_a_map_does(entries in proptest::collection::vec((0_u32..600, 0_u32..9), 0..500)) {
            let (mut table, mut map) = (IdTable::new(), HashMap::new());
            for (small, message) in entries {
                // Ids that differ in high bits only, as those of one sender do.
                let id = small << 8 | 0xFE;
                prop_assert_eq!(table.get(id), map.get(&id).copied());
                prop_assert_eq!(table.get_or_insert(id, message), *map.entry(id).or_insert(message));
            }
            for small in 0..700 {
                let id = small << 8 | 0xFE;
                prop_assert_eq!(table.get(id), map.get(&id).copied());
            }
        }
    }
}
