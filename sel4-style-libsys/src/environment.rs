//! What a component finds at its start: capabilities in fixed slots, and a page
//! that names the others.
//!
//! The root task writes the page with an [`Author`], maps it read-only and
//! starts the component; [`Environment::own`] reads it. A component reaches
//! what its line in `system.toml` gives it and nothing else: a name that is not
//! on the page has no capability behind it.
//!
//! ```text
//! offset  bytes
//!      0      8  magic "gRiTOSen"
//!      8      8  generation: how often the component was started before
//!     16      4  number of the component, which is its badge as a client
//!     20      4  first free slot of its CNode
//!     24      4  slots of its CNode
//!     28      4  number of grants
//!     32      4  bytes of arguments
//!     36      4  reserved, 0
//!     40     32  name of the component, padded with zeros
//!     72     56  per grant: kind 4, slot 4, two values of 8, name of 32;
//!                of a window the slot's place has its 4 KiB pages
//!     ..         arguments
//! ```

use gritos_abi::cap::BADGE_CLIENT;
use gritos_abi::{Address, Status};

use crate::cap::{
    AddressSpace, CNode, Cap, Endpoint, IrqHandler, MemoryObject, Platform, Tcb, Untyped,
};
use crate::error::{Error, Operation};
use crate::invoke::Permissions;
use crate::memory::map_with_tables;
use crate::slots::own;

/// Slots of a component's root CNode that its creator fills.
pub mod slot {
    /// The root CNode itself.
    pub const CNODE: u16 = 1;
    /// The first thread.
    pub const TCB: u16 = 2;
    /// The AddressSpace.
    pub const ADDRESS_SPACE: u16 = 3;
    /// An Untyped: what is left of the quota.
    pub const MEMORY: u16 = 4;
    /// The environment page.
    pub const ENVIRONMENT: u16 = 5;
    /// First slot of the grants.
    pub const GRANT_FIRST: u16 = 16;
}

/// Bytes of the page.
pub const PAGE_BYTES: usize = 4096;
/// Address at which it is mapped.
pub const ADDRESS: u64 = crate::rt::IMMUTABLE_BASE;
/// Most bytes of a name.
pub const NAME_BYTES: usize = 32;
/// Most grants.
pub const GRANT_LIMIT: usize = 64;

const MAGIC: u64 = u64::from_le_bytes(*b"gRiTOSen");
const NAME_AT: usize = 40;
const GRANTS_AT: usize = NAME_AT + NAME_BYTES;
const GRANT_BYTES: usize = 24 + NAME_BYTES;

/// What a grant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum GrantKind {
    /// A session with a service: an endpoint capability whose badge is the
    /// component's number. `values[0]` has its rights.
    Service = 1,
    /// The endpoint at which the component serves: unbadged, with RECV, SEND,
    /// GRANT and all server rights.
    Endpoint = 2,
    /// Registers of a device: a memory object of device memory, not mapped.
    /// `values` are its physical address and its bytes.
    Registers = 3,
    /// An interrupt of a device: an IrqHandler. `values[0]` is its number.
    Interrupt = 4,
    /// Authority over the machine.
    Platform = 5,
    /// A memory object that the component may map read-only.
    Data = 6,
    /// What of memory a device sees by itself; there is no capability.
    /// `values` are its address for the device and the physical one. See
    /// [`Environment::window`].
    Window = 7,
}

impl GrantKind {
    const ALL: [Self; 7] = [
        Self::Service,
        Self::Endpoint,
        Self::Registers,
        Self::Interrupt,
        Self::Platform,
        Self::Data,
        Self::Window,
    ];

    fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == number)
    }
}

/// A capability that the component holds from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant<'a> {
    /// What it is.
    pub kind: GrantKind,
    /// Its name. Interrupts carry that of their device, in the device's order.
    pub name: &'a str,
    /// Its slot; of a [`GrantKind::Window`] the number of its pages.
    pub address: Address,
    /// See [`GrantKind`].
    pub values: [u64; 2],
}

/// Registers of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its memory, not mapped.
    pub registers: Cap<MemoryObject>,
    /// Its physical address.
    pub physical: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// Memory as a device sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The device's address of the first byte.
    pub device: u64,
    /// Physical address of it.
    pub physical: u64,
    /// Bytes, whole pages of 4 KiB.
    pub bytes: u64,
}

/// The page, read.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'a> {
    page: &'a [u8],
    name: &'a str,
    arguments: &'a str,
    grants: usize,
}

impl<'a> Environment<'a> {
    /// Reads a page; `None` if it is none.
    #[must_use]
    pub fn read(page: &'a [u8]) -> Option<Self> {
        let grants = usize::try_from(word32(page, 28)?).ok()?;
        let argument_bytes = usize::try_from(word32(page, 32)?).ok()?;
        if word64(page, 0)? != MAGIC || grants > GRANT_LIMIT {
            return None;
        }
        let arguments_at = GRANTS_AT + grants * GRANT_BYTES;
        let arguments = page.get(arguments_at..arguments_at.checked_add(argument_bytes)?)?;
        let environment = Self {
            page,
            name: name_at(page, NAME_AT)?,
            arguments: core::str::from_utf8(arguments).ok()?,
            grants,
        };
        (environment.grants().count() == grants).then_some(environment)
    }

    /// Name of the component.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// Its arguments, as they stand in `system.toml`.
    #[must_use]
    pub const fn arguments(&self) -> &'a str {
        self.arguments
    }

    /// How often it was started before.
    #[must_use]
    pub fn generation(&self) -> u64 {
        word64(self.page, 8).unwrap_or(0)
    }

    /// Its badge at every service.
    #[must_use]
    pub fn badge(&self) -> u32 {
        BADGE_CLIENT | word32(self.page, 16).unwrap_or(0)
    }

    /// Everything that was granted to it.
    pub fn grants(&self) -> impl Iterator<Item = Grant<'a>> + use<'a> {
        let page = self.page;
        (0..self.grants).map_while(move |i| grant_at(page, GRANTS_AT + i * GRANT_BYTES))
    }

    /// The grant of this kind and name.
    #[must_use]
    pub fn find(&self, kind: GrantKind, name: &str) -> Option<Grant<'a>> {
        self.grants()
            .find(|grant| grant.kind == kind && grant.name == name)
    }

    /// The session with the service that `system.toml` calls `name`.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<Cap<Endpoint>> {
        self.find(GrantKind::Service, name)
            .map(|grant| Cap::at(grant.address))
    }

    /// The endpoint of the service `name` that the component offers.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<Cap<Endpoint>> {
        self.find(GrantKind::Endpoint, name)
            .map(|grant| Cap::at(grant.address))
    }

    /// The device `name`.
    #[must_use]
    pub fn device(&self, name: &str) -> Option<Device> {
        let grant = self.find(GrantKind::Registers, name)?;
        let [physical, bytes] = grant.values;
        Some(Device {
            registers: Cap::at(grant.address),
            physical,
            bytes,
        })
    }

    /// What of memory the device `name` sees by itself, if that is known.
    #[must_use]
    pub fn window(&self, name: &str) -> Option<Window> {
        let grant = self.find(GrantKind::Window, name)?;
        let [device, physical] = grant.values;
        Some(Window {
            device,
            physical,
            bytes: u64::from(grant.address.0) << 12,
        })
    }

    /// Interrupt `position` of the device `name`.
    #[must_use]
    pub fn interrupt(&self, name: &str, position: usize) -> Option<Cap<IrqHandler>> {
        self.grants()
            .filter(|grant| grant.kind == GrantKind::Interrupt && grant.name == name)
            .nth(position)
            .map(|grant| Cap::at(grant.address))
    }

    /// Authority over the machine, if the component has it.
    #[must_use]
    pub fn platform(&self) -> Option<Cap<Platform>> {
        self.grants()
            .find(|grant| grant.kind == GrantKind::Platform)
            .map(|grant| Cap::at(grant.address))
    }

    /// Its root CNode.
    pub const CNODE: Cap<CNode> = Cap::at(Address::root(slot::CNODE));
    /// Its first thread, which is also authority over priorities up to its
    /// ceiling.
    pub const TCB: Cap<Tcb> = Cap::at(Address::root(slot::TCB));
    /// Its AddressSpace.
    pub const SPACE: Cap<AddressSpace> = Cap::at(Address::root(slot::ADDRESS_SPACE));
    /// What is left of its memory.
    pub const MEMORY: Cap<Untyped> = Cap::at(Address::root(slot::MEMORY));

    /// The free slots of its CNode: from the first to one past the last. They
    /// go to [`crate::slots::own`].
    #[must_use]
    pub fn free_slots(&self) -> (u16, u16) {
        let index = |at| word32(self.page, at).and_then(|value| u16::try_from(value).ok());
        (index(20).unwrap_or(u16::MAX), index(24).unwrap_or(0))
    }
}

impl Environment<'static> {
    /// The environment of this component.
    ///
    /// # Errors
    /// `NotMapped` or `InvalidArgument` for a task that has none, such as the
    /// root task.
    #[cfg(target_os = "none")]
    pub fn own() -> Result<Self, Error> {
        let page = crate::rt::immutable_bytes(Cap::at(Address::root(slot::ENVIRONMENT)))?;
        Self::read(page).ok_or(Error::local(Status::InvalidArgument, Operation::Load))
    }
}

/// Maps all of `memory` at `address` in the AddressSpace of this component.
/// Memory for translation tables is added from the component's own when it
/// runs out.
///
/// # Errors
/// Those of [`Cap::<MemoryObject>::map`].
pub fn map<const R: u32>(
    memory: Cap<MemoryObject, R>,
    address: u64,
    permissions: Permissions,
) -> Result<(), Error> {
    let spare = own::take()?;
    let tables = (Environment::SPACE, Environment::MEMORY, spare);
    let mapped = map_with_tables(memory, tables, address, permissions);
    own::give_back(spare);
    mapped
}

/// Writes the page.
#[derive(Debug)]
pub struct Author {
    page: [u8; PAGE_BYTES],
    grants: usize,
    closed: bool,
}

impl Author {
    /// A page without grants.
    ///
    /// # Errors
    /// `OutOfRange` for a name of more than [`NAME_BYTES`] bytes.
    pub fn new(name: &str, number: u32, generation: u64) -> Result<Self, Error> {
        let mut author = Self {
            page: [0; PAGE_BYTES],
            grants: 0,
            closed: false,
        };
        author.put(0, &MAGIC.to_le_bytes())?;
        author.put(8, &generation.to_le_bytes())?;
        author.put(16, &(number & !BADGE_CLIENT).to_le_bytes())?;
        author.put_name(NAME_AT, name)?;
        Ok(author)
    }

    /// Adds a grant.
    ///
    /// # Errors
    /// `OutOfRange` when the page is full or the name too long.
    pub fn grant(&mut self, grant: &Grant<'_>) -> Result<(), Error> {
        if self.grants == GRANT_LIMIT || self.closed {
            return Err(FULL);
        }
        let at = GRANTS_AT + self.grants * GRANT_BYTES;
        self.put(at, &(grant.kind as u32).to_le_bytes())?;
        self.put(at + 4, &grant.address.0.to_le_bytes())?;
        self.put(at + 8, &grant.values[0].to_le_bytes())?;
        self.put(at + 16, &grant.values[1].to_le_bytes())?;
        self.put_name(at + 24, grant.name)?;
        self.grants += 1;
        Ok(())
    }

    /// Adds what a device sees of memory: of more than 16 TiB the first, and of
    /// what is no whole page less.
    ///
    /// # Errors
    /// Those of [`grant`](Self::grant).
    pub fn window(&mut self, name: &str, window: Window) -> Result<(), Error> {
        self.grant(&Grant {
            kind: GrantKind::Window,
            name,
            address: Address(u32::try_from(window.bytes >> 12).unwrap_or(u32::MAX)),
            values: [window.device, window.physical],
        })
    }

    /// Says which slots are free and what the arguments are, and returns the
    /// page.
    ///
    /// # Errors
    /// `OutOfRange` when the arguments do not fit.
    pub fn finish(
        &mut self,
        first_free: u16,
        cnode_slots: u32,
        arguments: &str,
    ) -> Result<&[u8; PAGE_BYTES], Error> {
        self.closed = true;
        let length = |bytes: usize| u32::try_from(bytes).map_err(|_| FULL);
        self.put(20, &u32::from(first_free).to_le_bytes())?;
        self.put(24, &cnode_slots.to_le_bytes())?;
        self.put(28, &length(self.grants)?.to_le_bytes())?;
        self.put(GRANTS_AT + self.grants * GRANT_BYTES, arguments.as_bytes())?;
        self.put(32, &length(arguments.len())?.to_le_bytes())?;
        Ok(&self.page)
    }

    fn put_name(&mut self, at: usize, name: &str) -> Result<(), Error> {
        if name.len() > NAME_BYTES || name.contains('\0') {
            return Err(FULL);
        }
        self.put(at, name.as_bytes())
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> Result<(), Error> {
        let place = self.page.get_mut(at..at + bytes.len()).ok_or(FULL)?;
        place.copy_from_slice(bytes);
        Ok(())
    }
}

const FULL: Error = Error::local(Status::OutOfRange, Operation::Load);

fn grant_at(page: &[u8], at: usize) -> Option<Grant<'_>> {
    Some(Grant {
        kind: GrantKind::from_number(word32(page, at)?)?,
        address: Address(word32(page, at + 4)?),
        values: [word64(page, at + 8)?, word64(page, at + 16)?],
        name: name_at(page, at + 24)?,
    })
}

fn word32(page: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*page.get(at..)?.first_chunk()?))
}

fn word64(page: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*page.get(at..)?.first_chunk()?))
}

fn name_at(page: &[u8], at: usize) -> Option<&str> {
    let bytes = page.get(at..at + NAME_BYTES)?;
    let end = bytes.iter().position(|&byte| byte == 0);
    core::str::from_utf8(bytes.get(..end.unwrap_or(NAME_BYTES))?).ok()
}

#[cfg(test)]
mod tests {
    use super::{Author, Environment, GRANT_LIMIT, Grant, GrantKind, Window};
    use gritos_abi::Address;
    use gritos_abi::cap::BADGE_CLIENT;

    fn grant(kind: GrantKind, name: &str, index: u16) -> Grant<'_> {
        Grant {
            kind,
            name,
            address: Address::root(index),
            values: [u64::from(index), 2],
        }
    }

    #[test]
    fn what_an_author_writes_is_read() {
        let mut author = Author::new("console", 7, 3).unwrap();
        let grants = [
            grant(GrantKind::Registers, "uart", 16),
            grant(GrantKind::Interrupt, "uart", 17),
            grant(GrantKind::Interrupt, "uart", 18),
            grant(GrantKind::Service, "log", 19),
        ];
        for grant in &grants {
            author.grant(grant).unwrap();
        }
        let window = Window {
            device: 0xc000_0000,
            physical: 1 << 33,
            bytes: (1 << 30) + 5,
        };
        author.window("uart", window).unwrap();
        let page = author.finish(20, 64, "--fast äö").unwrap();
        let read = Environment::read(page).unwrap();
        assert!(read.grants().take(4).eq(grants));
        let whole = Window {
            bytes: 1 << 30,
            ..window
        };
        assert_eq!(read.window("uart"), Some(whole));
        assert_eq!(read.window("log"), None);
        assert_eq!((read.name(), read.generation()), ("console", 3));
        assert_eq!(read.arguments(), "--fast äö");
        assert_eq!(read.badge(), BADGE_CLIENT | 7);
        let interrupt = read.interrupt("uart", 1).unwrap();
        assert_eq!(interrupt.address(), Address::root(18));
        assert_eq!(read.device("uart").unwrap().physical, 16);
        assert!(read.service("uart").is_none() && read.interrupt("uart", 2).is_none());
        assert_eq!(read.free_slots(), (20, 64));
    }

    #[test]
    fn too_much_is_refused() {
        assert!(Author::new("a name of more than thirty-two bytes", 1, 0).is_err());
        let mut author = Author::new("x", 1, 0).unwrap();
        let one = grant(GrantKind::Service, "s", 16);
        assert_eq!(
            (0..100).filter(|_| author.grant(&one).is_ok()).count(),
            GRANT_LIMIT
        );
        let long = [b'a'; 500];
        assert!(
            author
                .finish(80, 128, core::str::from_utf8(&long).unwrap())
                .is_err()
        );
    }

    #[test]
    fn a_page_with_any_byte_changed_is_read_or_refused() {
        let mut author = Author::new("x", 1, 0).unwrap();
        author.grant(&grant(GrantKind::Service, "s", 16)).unwrap();
        let page = *author.finish(17, 64, "args").unwrap();
        for at in 0..160 {
            for value in [0, 0x7f, 0xff] {
                let mut changed = page;
                changed[at] = value;
                if let Some(read) = Environment::read(&changed) {
                    assert!(read.grants().count() <= GRANT_LIMIT);
                }
            }
        }
    }
}
