//! Neighbours that do not answer.
//!
//! The TCP machine asks for one neighbour a second, whoever it is, and goes on asking for one that is not there for
//! as long as somebody has something for it (smoltcp 0.14.0): nobody else's neighbour is ever found meanwhile. So who
//! has not answered several times is answered for: what is sent there goes nowhere, and the real one is asked now and
//! then whether it is there after all. Its own answer counts more than ours, and it gets the last frame at once:
//! whoever sent that may wait for long before it sends again.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::inward;

/// Most neighbours that are looked after; of more the one that was asked for the longest ago is forgotten.
const LIMIT: usize = 32;
/// Requests that a neighbour may leave unanswered, a second apart.
const PATIENCE: u8 = 3;
/// Nanoseconds between requests to one that is answered for.
const PROBE_NS: u64 = 1_000_000_000;
/// Nanoseconds after which a neighbour of which nobody wanted anything is asked anew as if for the first time.
const MEMORY_NS: u64 = 60_000_000_000;
/// Nanoseconds for which the last frame that went nowhere is kept.
const KEEP_NS: u64 = 2_000_000_000;
/// Begin of the hardware addresses of nobody: locally administered, of one machine, and none that anybody chooses
/// because it is short.
const NOWHERE: [u8; 4] = [0x66, 0x52, 0x69, 0x54];

/// A neighbour that has not answered.
struct Neighbour {
    ip: IpAddr,
    /// Requests that it left unanswered, up to [`PATIENCE`].
    asked: u8,
    /// Tells its address of nowhere from others'.
    number: u16,
    /// When it was asked last, in nanoseconds.
    at_ns: u64,
    /// The request.
    request: Vec<u8>,
    /// The last frame that went nowhere, and when it did.
    kept: Vec<u8>,
    kept_ns: u64,
}

/// Those who have not answered.
#[derive(Default)]
pub(super) struct Absent {
    neighbours: Vec<Neighbour>,
    /// Given out last.
    number: u16,
}

/// Whether frames to this hardware address go nowhere.
pub(super) fn is_nowhere(mac: &[u8]) -> bool {
    mac.starts_with(&NOWHERE)
}

impl Absent {
    /// Takes note of a request for a neighbour. The answer on its behalf, if it has had its time.
    pub(super) fn ask(&mut self, request: &[u8], now_ns: u64) -> Option<Vec<u8>> {
        let ip = inward::asked_for(request)?;
        let known = self.neighbours.iter().position(|known| known.ip == ip);
        let at = known.unwrap_or_else(|| self.add(ip));
        let neighbour = self.neighbours.get_mut(at)?;
        if now_ns.saturating_sub(neighbour.at_ns) > MEMORY_NS {
            neighbour.asked = 0;
        }
        neighbour.at_ns = now_ns;
        neighbour.request = request.to_vec();
        if neighbour.asked < PATIENCE {
            neighbour.asked += 1;
            return None;
        }
        let [high, low] = neighbour.number.to_be_bytes();
        let [a, b, c, d] = NOWHERE;
        inward::answer_for(request, ip, [a, b, c, d, high, low])
    }

    fn add(&mut self, ip: IpAddr) -> usize {
        if self.neighbours.len() >= LIMIT {
            let oldest = (0..).zip(&self.neighbours).min_by_key(|(_, n)| n.at_ns);
            if let Some((at, _)) = oldest {
                self.neighbours.swap_remove(at);
            }
        }
        self.number = self.number.wrapping_add(1);
        self.neighbours.push(Neighbour {
            ip,
            asked: 0,
            number: self.number,
            at_ns: 0,
            request: Vec::new(),
            kept: Vec::new(),
            kept_ns: 0,
        });
        self.neighbours.len() - 1
    }

    /// A frame went nowhere. The request that its neighbour is to get, if it is time for one.
    pub(super) fn lose(&mut self, frame: &[u8], now_ns: u64) -> Option<&[u8]> {
        let number = frame.get(4..6)?;
        let mut all = self.neighbours.iter_mut();
        let neighbour = all.find(|one| number == one.number.to_be_bytes())?;
        neighbour.kept.clear();
        neighbour.kept.extend_from_slice(frame);
        neighbour.kept_ns = now_ns;
        if now_ns.saturating_sub(neighbour.at_ns) < PROBE_NS {
            return None;
        }
        neighbour.at_ns = now_ns;
        Some(&neighbour.request)
    }

    /// A neighbour said something of itself: it is there, at the hardware address `mac`. The frame that it is to get.
    pub(super) fn hear(&mut self, ip: IpAddr, mac: [u8; 6], now_ns: u64) -> Option<Vec<u8>> {
        let at = self.neighbours.iter().position(|one| one.ip == ip)?;
        let Neighbour {
            mut kept, kept_ns, ..
        } = self.neighbours.swap_remove(at);
        *kept.first_chunk_mut::<6>()? = mac;
        (now_ns.saturating_sub(kept_ns) <= KEEP_NS).then_some(kept)
    }

    /// Forgets all, as when this machine has another hardware address.
    pub(super) fn clear(&mut self) {
        self.neighbours.clear();
    }
}
