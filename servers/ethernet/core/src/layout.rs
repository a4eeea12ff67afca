//! Where rings and slots lie in the memory of an attachment.

use gritos_ethernet_api::{EthernetLayout, FRAME_OFFSET, MAX_SLOTS, SLOT_BYTES};
use gritos_ring::ring_bytes;

use crate::ENTRY_BYTES;

const PAGE_BYTES: u32 = 4096;
/// Bytes of an Ethernet header, and so of the shortest frame there is.
pub const HEADER_BYTES: usize = 14;

/// The layout for so many slots of either kind: the four rings one behind the
/// other, then slots from the next page on. `None` if `attach` does not allow
/// these numbers.
#[must_use]
pub fn layout(receive_slots: u32, transmit_slots: u32) -> Option<EthernetLayout> {
    if receive_slots > MAX_SLOTS || transmit_slots > MAX_SLOTS {
        return None;
    }
    let receive = u32::try_from(ring_bytes(receive_slots, ENTRY_BYTES)?).ok()?;
    let transmit = u32::try_from(ring_bytes(transmit_slots, ENTRY_BYTES)?).ok()?;
    Some(EthernetLayout {
        receive_free: 0,
        received: receive,
        transmit: 2 * receive,
        transmit_free: 2 * receive + transmit,
        slots: (2 * receive + 2 * transmit).next_multiple_of(PAGE_BYTES),
    })
}

/// Bytes of memory that a layout needs for so many slots of both kinds together.
#[must_use]
pub const fn memory_bytes(layout: &EthernetLayout, slots: u32) -> u64 {
    layout.slots as u64 + slots as u64 * SLOT_BYTES as u64
}

/// Where the frame of a slot lies, in bytes from the beginning of the memory.
/// `index` counts slots for receiving first, then those for sending.
#[must_use]
pub const fn slot_offset(layout: &EthernetLayout, index: usize) -> usize {
    layout.slots as usize + index * SLOT_BYTES as usize + FRAME_OFFSET as usize
}

#[cfg(test)]
mod tests {
    use super::{layout, memory_bytes, slot_offset};

    #[test]
    fn parts_follow_each_other_without_overlap() {
        for (receive, transmit) in [(1, 1), (64, 2), (2, 256)] {
            let layout = layout(receive, transmit).unwrap();
            assert!(layout.receive_free + 128 + receive * 4 <= layout.received);
            assert!(layout.received + 128 + receive * 4 <= layout.transmit);
            assert!(layout.transmit + 128 + transmit * 4 <= layout.transmit_free);
            assert!(layout.transmit_free + 128 + transmit * 4 <= layout.slots);
            let last = slot_offset(&layout, (receive + transmit) as usize - 1);
            let end = memory_bytes(&layout, receive + transmit);
            assert_eq!(last as u64 + 2048 - 66, end);
        }
    }

    #[test]
    fn what_attach_forbids_has_no_layout() {
        for (receive, transmit) in [(0, 1), (1, 0), (3, 4), (512, 4), (4, 512)] {
            assert_eq!(layout(receive, transmit), None, "{receive} {transmit}");
        }
    }
}
