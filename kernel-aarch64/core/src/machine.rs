//! What the core asks of the machine.

/// Effects outside kernel objects. Implemented by the hardware, and by a
/// recorder in tests; passed by value, never global.
pub trait Machine {
    /// The counter, `CNTVCT_EL0`.
    fn now(&self) -> u64;
    /// Asks for a timer interrupt at `at`, in counter ticks; `u64::MAX` for none.
    fn set_timer(&mut self, at: u64);
    /// Whether an interrupt waits to be taken.
    fn interrupt_pending(&self) -> bool;
    /// Lets an interrupt line through.
    fn unmask(&mut self, irq: u32);
    /// Holds an interrupt line back.
    fn mask(&mut self, irq: u32);
    /// Sets the trigger of a line: edge or level. `false` if there is no such line.
    fn configure_irq(&mut self, irq: u32, edge: bool) -> bool;
    /// Makes table changes visible to translation walks: `DSB ISHST`.
    fn tables_written(&mut self);
    /// Starts the removal of the translation of one page (number) of an ASID.
    fn forget_page(&mut self, asid: u32, page: u64);
    /// Starts the removal of all translations of an ASID.
    fn forget_space(&mut self, asid: u32);
    /// Waits until removals are complete: `DSB ISH`.
    fn forgotten(&mut self);
    /// Cleans and invalidates a range of the data cache to the point of
    /// coherency, before it is mapped uncached.
    fn flush_cache(&mut self, address: u64, bytes: u64);
    /// The value of `TTBR0_EL1` for threads without an address space.
    fn empty_ttbr0(&self) -> u64;
    /// Writes one byte to the debug UART; `false` if the kernel has none.
    fn debug_putchar(&mut self, byte: u8) -> bool;
    /// Hands the UART over, or takes it back.
    fn console(&mut self, to_user: bool);
    /// Takes up to 56 bytes of kernel text from the ring; the count.
    fn read_log(&mut self, into: &mut [u64; 7]) -> u64;
    /// Ends the machine; returns only if it cannot.
    fn power_off(&mut self, code: u64);
    /// Restarts the machine; returns only if it cannot.
    fn reset(&mut self);
    /// The firmware's entropy, once.
    fn entropy(&mut self) -> Option<[u64; 4]>;
    /// Counter frequency in Hz.
    fn counter_hz(&self) -> u64;
}
