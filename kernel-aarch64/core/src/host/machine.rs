//! The machine of a host: it records what it is asked to do.

use std::vec::Vec;

use crate::machine::Machine;

/// A machine that records what it is asked to do. Time stands still unless the
/// test moves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostMachine {
    /// The counter.
    pub now: u64,
    /// What the timer is set for.
    pub timer: u64,
    /// Points at which the kernel may be preempted before one that finds an
    /// interrupt pending; `None` for never.
    pub preempt_after: std::cell::Cell<Option<u32>>,
    /// Lines that are let through.
    pub unmasked: Vec<u32>,
    /// Lines that were last set up to signal by edges.
    pub edges: Vec<u32>,
    /// ASIDs and pages whose translations were removed, since last cleared.
    pub forgotten: Vec<(u32, Option<u64>)>,
    /// Ranges that left the cache: address and bytes.
    pub flushed: Vec<(u64, u64)>,
    /// Whether the console belongs to user space.
    pub console_taken: bool,
    /// Text written with `DebugPutchar`.
    pub text: Vec<u8>,
    /// Exit code once the machine is off.
    pub off: Option<u64>,
    /// How often it was reset.
    pub resets: u32,
    /// Whether the entropy was taken.
    pub entropy_taken: bool,
}

impl Machine for HostMachine {
    fn now(&self) -> u64 {
        self.now
    }
    fn set_timer(&mut self, at: u64) {
        self.timer = at;
    }
    fn interrupt_pending(&self) -> bool {
        match self.preempt_after.get() {
            None => false,
            Some(0) => {
                self.preempt_after.set(None);
                true
            }
            Some(n) => {
                self.preempt_after.set(Some(n - 1));
                false
            }
        }
    }
    fn unmask(&mut self, irq: u32) {
        if !self.unmasked.contains(&irq) {
            self.unmasked.push(irq);
        }
    }
    fn mask(&mut self, irq: u32) {
        self.unmasked.retain(|line| *line != irq);
    }
    fn configure_irq(&mut self, irq: u32, edge: bool) -> bool {
        self.edges.retain(|line| *line != irq);
        if edge {
            self.edges.push(irq);
        }
        irq < crate::irq::LINES
    }
    fn tables_written(&mut self) {}
    fn forget_page(&mut self, asid: u32, page: u64) {
        self.forgotten.push((asid, Some(page)));
    }
    fn forget_space(&mut self, asid: u32) {
        self.forgotten.push((asid, None));
    }
    fn forgotten(&mut self) {}
    fn flush_cache(&mut self, address: u64, bytes: u64) {
        self.flushed.push((address, bytes));
    }
    fn empty_ttbr0(&self) -> u64 {
        0
    }
    fn debug_putchar(&mut self, byte: u8) -> bool {
        self.text.push(byte);
        true
    }
    fn console(&mut self, to_user: bool) {
        self.console_taken = to_user;
    }
    fn read_log(&mut self, _into: &mut [u64; 7]) -> u64 {
        0
    }
    fn power_off(&mut self, code: u64) {
        self.off = Some(code);
    }
    fn reset(&mut self) {
        self.resets += 1;
    }
    fn entropy(&mut self) -> Option<[u64; 4]> {
        (!core::mem::replace(&mut self.entropy_taken, true)).then_some([1, 2, 3, 4])
    }
    fn counter_hz(&self) -> u64 {
        1_000_000_000
    }
}
