//! What each slot gets of what the machine has to give.

use drover_shared::schema::limits;

use crate::machine::memory_bytes;

/// The memory in bytes that each of `slots` slots may use here by default.
pub fn memory_share(slots: u32) -> u64 {
    share(memory_bytes(), slots)
}

/// Most of the memory, divided evenly; a slot too small for a CLI would be of no use, so there is a floor.
fn share(memory_bytes: Option<u64>, slots: u32) -> u64 {
    let for_slots = memory_bytes.unwrap_or_default() / 100 * limits::SLOTS_MEMORY_PERCENT;
    (for_slots / u64::from(slots.max(1))).max(limits::SLOT_MEMORY_FLOOR_MB << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_share_most_of_the_memory_evenly_above_a_floor() {
        assert_eq!(share(Some(100 << 30), 4) >> 30, 20);
        assert_eq!(share(Some(100 << 30), 1) >> 30, 80);
        assert_eq!(share(Some(4 << 30), 64), limits::SLOT_MEMORY_FLOOR_MB << 20);
        assert_eq!(share(None, 4), limits::SLOT_MEMORY_FLOOR_MB << 20);
    }
}
