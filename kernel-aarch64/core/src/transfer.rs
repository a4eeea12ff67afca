//! Capabilities in messages: whole or not at all.
//!
//! A [`Plan`] is made from everything that can be wrong, without changing
//! anything; carrying it out cannot fail. Sources and window are resolved here,
//! at delivery, and nothing resolved is kept while a thread waits.

use gritos_abi::message::{CAP_SLOTS, CapsIn};
use gritos_abi::{Address, Arrival, Control, ObjectType, Rights, Status};

use crate::handle::{EndpointRef, ObjectRef, SlotRef, TcbRef};
use crate::kernel::{Done, Kernel, Stop};
use crate::machine::Machine;
use crate::object::{Slot, Tcb};
use crate::store::Store;

/// What becomes of one capability slot of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// Only badge and rights are delivered.
    Unwrap { badge: u32, rights: u32 },
    /// A copy is derived, or the capability moves, into a window slot.
    Insert(Insert),
}

/// A capability that arrives in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Insert {
    from: SlotRef,
    to: SlotRef,
    rights: u32,
    badge: u32,
    moves: bool,
}

/// A transfer that has passed every check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    items: [Option<Item>; CAP_SLOTS],
    count: u32,
}

impl Plan {
    /// Capabilities in the message.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Capabilities that arrive in slots.
    fn inserts(&self) -> impl Iterator<Item = Insert> + '_ {
        self.items.iter().flatten().filter_map(|item| match item {
            Item::Insert(insert) => Some(*insert),
            Item::Unwrap { .. } => None,
        })
    }
}

/// The capability registers of a thread that sends or invokes; null where its
/// control word declares no capability, for those registers are not saved.
pub(crate) fn caps_in(t: &Tcb) -> CapsIn {
    let count = Control(t.x::<10>()).cap_count();
    let slot = |i: u32, word| if i < count { word } else { 0 };
    CapsIn {
        slots: [
            slot(0, t.x::<11>()),
            slot(1, t.x::<12>()),
            slot(2, t.x::<13>()),
            slot(3, t.x::<14>()),
        ],
        badges: [slot(0, t.x::<15>()), slot(2, t.x::<16>())],
    }
}

impl<S: Store, M: Machine> Kernel<S, M> {
    /// Checks the transfer of the capabilities in `sender`'s registers to the
    /// window of `receiver`. `via` is the endpoint that the message travels
    /// through, if it is not a reply; `rights` those of the capability that was
    /// called. Fills in `plan`, which is empty.
    pub(crate) fn plan(
        &mut self,
        sender: TcbRef,
        via: Option<EndpointRef>,
        rights: u32,
        receiver: TcbRef,
        plan: &mut Plan,
    ) -> Done {
        let control = Control(self.tcb(sender).x::<10>());
        plan.count = control.cap_count();
        if plan.count == 0 {
            return Ok(());
        }
        self.drain()?;
        let grant = rights & Rights::GRANT.bits() != 0;
        let caps = caps_in(self.tcb(sender));
        let window = Control(self.tcb(receiver).frame.window.get());
        let mut used = 0;
        for i in 0..plan.count.min(CAP_SLOTS as u32) {
            let item = self
                .plan_slot(sender, &caps, control, i, via, grant, plan)
                .and_then(|item| match item {
                    Item::Insert(insert) => {
                        let to = self.window_slot(receiver, window, used)?;
                        used += 1;
                        Ok(Item::Insert(Insert { to, ..insert }))
                    }
                    unwrap @ Item::Unwrap { .. } => Ok(unwrap),
                })
                .map_err(|status| Stop::SlotError(status, i))?;
            if let Some(place) = plan.items.get_mut(i as usize) {
                *place = Some(item);
            }
        }
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one slot in the light of its whole message"
    )]
    fn plan_slot(
        &self,
        sender: TcbRef,
        caps: &CapsIn,
        control: Control,
        i: u32,
        via: Option<EndpointRef>,
        grant: bool,
        earlier: &Plan,
    ) -> Result<Item, Status> {
        let moves = control.move_mask() & 1 << i != 0;
        let address = caps.source(i as usize);
        let from = if moves {
            self.lookup_mut(sender, address)
        } else {
            self.lookup(sender, address)
        }?;
        let slot = self.slot(from);
        if slot.is_empty()
            || earlier
                .inserts()
                .any(|insert| insert.moves && insert.from == from)
        {
            return Err(Status::EmptySlot);
        }
        let (mask, badge) = (caps.rights_mask(i as usize), caps.badge(i as usize));
        let rights = narrowed(slot.rights.get(), mask)?;
        let same_endpoint = via.is_some_and(|e| e.raw() == slot.object.get());
        if !moves && same_endpoint && slot.is(ObjectType::Endpoint) {
            return Ok(Item::Unwrap {
                badge: slot.badge.get(),
                rights,
            });
        }
        if !grant {
            return Err(Status::EndpointNoGrant);
        }
        if slot.rights.get() & Rights::GRANT.bits() == 0 {
            return Err(Status::NoGrant);
        }
        let badge = if moves {
            check_move(mask, badge)?;
            slot.badge.get()
        } else {
            check_copy(slot, badge)?
        };
        Ok(Item::Insert(Insert {
            from,
            to: from,
            rights,
            badge,
            moves,
        }))
    }

    fn window_slot(&self, receiver: TcbRef, window: Control, n: u32) -> Result<SlotRef, Status> {
        let first = window.window_first();
        let index = u32::from(first.index()) + n;
        if n >= window.window_count() || index > 0xffff {
            return Err(Status::ReceiverWindow);
        }
        let address = Address::nested(first.cnode(), index as u16);
        match self.lookup_mut(receiver, address) {
            Ok(slot) if self.slot(slot).is_empty() => Ok(slot),
            _ => Err(Status::ReceiverWindow),
        }
    }

    /// Carries out a plan and writes the capability registers of `receiver`.
    pub(crate) fn carry_out(&mut self, plan: &Plan, receiver: TcbRef) {
        if plan.count == 0 {
            return self.tcb(receiver).clear_caps();
        }
        let mut arrived = [0_u64; CAP_SLOTS];
        let mut how = 0;
        let mut position = 0;
        for (i, item) in plan.items.iter().enumerate() {
            let Some(item) = item else { break };
            let (arrival, badge, rights) = match *item {
                Item::Unwrap { badge, rights } => (Arrival::Unwrapped, badge, rights),
                Item::Insert(insert) => {
                    if insert.moves {
                        self.move_cap(insert.from, insert.to);
                    } else {
                        self.derive(insert.from, insert.to, insert.rights, insert.badge);
                    }
                    let to = self.slot(insert.to);
                    let arrival = Arrival::InSlot {
                        object: to.object_type(),
                        position,
                    };
                    position += 1;
                    let badge = if is_badgeable(to) { insert.badge } else { 0 };
                    (arrival, badge, insert.rights)
                }
            };
            how |= u64::from(arrival.encode()) << (16 * i);
            if let Some(word) = arrived.get_mut(i) {
                *word = u64::from(badge) | u64::from(rights) << 32;
            }
        }
        let r = self.tcb(receiver);
        let [a, b, c, d] = arrived;
        r.set_x::<11>(a);
        r.set_x::<12>(b);
        r.set_x::<13>(c);
        r.set_x::<14>(d);
        r.set_x::<15>(how);
        r.set_x::<16>(0);
        r.set_x::<17>(0);
    }

    /// Puts a copy of `from`, narrowed, into the empty slot `to`.
    pub(crate) fn derive(&mut self, from: SlotRef, to: SlotRef, rights: u32, badge: u32) {
        let (f, t) = (self.slot(from), self.slot(to));
        let kept = 0xff | Slot::DEVICE | 3 << Slot::MEMORY_TYPE_SHIFT;
        t.object.set(f.object.get());
        t.word.set(f.word.get() & kept);
        t.rights.set(rights);
        t.badge.set(badge);
        self.insert_child(from, to);
        self.add_ref(to);
    }

    /// Moves a capability, with its place in the tree and its mapping.
    pub(crate) fn move_cap(&mut self, from: SlotRef, to: SlotRef) {
        self.relink(from, to);
        let (f, t) = (self.slot(from), self.slot(to));
        t.copy_from(f);
        f.reset();
        if t.has(Slot::MAPPED) {
            self.mapping_moved(to);
        }
    }

    /// Counts a capability that came to be in `slot`.
    pub(crate) fn add_ref(&mut self, slot: SlotRef) {
        let s = self.slot(slot);
        if has_header(s.object_type()) {
            if let Some(object) = ObjectRef::from_raw(s.object.get()) {
                let refs = &self.header(object).refs;
                refs.set(refs.get().wrapping_add(1));
            }
        } else if s.is(ObjectType::IrqHandler) {
            let line = s.object.get();
            self.irqs.add_ref(line);
        }
    }
}

/// Whether objects of this type begin with a header in memory.
pub(crate) fn has_header(object: ObjectType) -> bool {
    (ObjectType::CNode..=ObjectType::AddressSpace).contains(&object)
}

pub(crate) fn is_badgeable(slot: &Slot) -> bool {
    slot.is(ObjectType::Endpoint) || slot.is(ObjectType::Notification)
}

/// The rights of a copy: as held for mask 0, else the mask, which must be
/// contained in the rights held.
#[inline(always)]
pub(crate) fn narrowed(held: u32, mask: u32) -> Result<u32, Status> {
    match mask {
        0 => Ok(held),
        _ if mask & !held != 0 => Err(Status::RightsNotHeld),
        _ => Ok(mask),
    }
}

/// Checks that `slot` can be copied and given `badge`; the badge of the copy.
pub(crate) fn check_copy(slot: &Slot, badge: u32) -> Result<u32, Status> {
    if slot.is(ObjectType::Untyped) {
        return Err(Status::NotCopyable);
    }
    match (badge, slot.badge.get()) {
        (0, held) => Ok(held),
        _ if !is_badgeable(slot) => Err(Status::NotBadgeable),
        (new, 0) => Ok(new),
        _ => Err(Status::BadgeAlreadySet),
    }
}

/// A move changes neither rights nor badge: what was derived from the
/// capability stays derived from it.
pub(crate) fn check_move(mask: u32, badge: u32) -> Result<(), Status> {
    if mask == 0 && badge == 0 {
        Ok(())
    } else {
        Err(Status::InvalidArgument)
    }
}
