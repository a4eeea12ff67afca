//! What the stack asks of the machine: frames and time.

/// An Ethernet device.
pub trait FrameDevice {
    /// Its hardware address; zeros as long as it does not know it.
    fn mac(&self) -> [u8; 6];

    /// Bytes of the largest packet it carries, the Ethernet header not counted. Asked once, at the start.
    fn mtu(&self) -> usize;

    /// Whether a cable is plugged in and somebody is at the other end.
    fn link_up(&self) -> bool;

    /// Takes the next frame that arrived into `frame`; its length, or `None` if
    /// there is none. A frame that does not fit is dropped.
    fn receive(&mut self, frame: &mut [u8]) -> Option<usize>;

    /// Whether [`send`](Self::send) would take a frame. A device without a link
    /// drops frames rather than refusing them.
    fn can_send(&mut self) -> bool;

    /// Sends a frame, or drops it if there is no space for it.
    fn send(&mut self, frame: &[u8]);

    /// Called at the end of each turn: frames that were sent may be announced to
    /// whoever takes them. Says whether what was asked for with [`arm`](Self::arm) still
    /// holds.
    fn flush(&mut self) -> bool {
        true
    }

    /// Called before each turn: the device may look after itself. When it wants to be
    /// called again at the latest, in nanoseconds of the same clock.
    fn tend(&mut self, now_ns: u64) -> Option<u64> {
        let _ = now_ns;
        None
    }

    /// Bits of a notification that the server received.
    fn notified(&mut self, bits: u64) {
        let _ = bits;
    }

    /// Asks to be woken when a frame arrives and, if `send` is said, when one can be
    /// sent. Says whether to wait: if not, that is so already.
    fn arm(&mut self, send: bool) -> bool {
        let _ = send;
        true
    }
}

/// A clock that never goes back.
pub trait Clock {
    /// Nanoseconds since some moment in the past.
    fn now_ns(&self) -> u64;
}

/// What went through a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Frames received.
    pub received_frames: u64,
    /// Frames sent.
    pub sent_frames: u64,
    /// Frames dropped: for want of space, because no honest neighbour sends
    /// them, or because the neighbour that they are for is not there.
    pub dropped_frames: u64,
}
