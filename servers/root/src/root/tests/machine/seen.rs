//! What happened, so that a test of everything tests something.

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::root) struct Seen {
    pub(super) faults: u32,
    pub(super) returns: u32,
    pub(super) made: u32,
    pub(super) unmade: u32,
    pub(super) stand_ins: u32,
    pub(super) told: u32,
    pub(super) kills: u32,
    pub(super) restarts: u32,
    pub(super) refused: u32,
}

impl Seen {
    pub(in crate::root) fn add(&mut self, other: &Self) {
        self.faults += other.faults;
        self.returns += other.returns;
        self.made += other.made;
        self.unmade += other.unmade;
        self.stand_ins += other.stand_ins;
        self.told += other.told;
        self.kills += other.kills;
        self.restarts += other.restarts;
        self.refused += other.refused;
    }

    /// Fails unless all of it happened again and again.
    pub(in crate::root) fn check(&self) {
        let counts = [
            self.faults,
            self.returns,
            self.made,
            self.unmade,
            self.stand_ins,
            self.told,
            self.kills,
            self.restarts,
            self.refused,
        ];
        assert!(counts.iter().all(|&count| count >= 50), "{self:?}");
    }
}
