//! From handles to objects.

use gritos_abi::ObjectType;

use crate::handle::{
    CNodeRef, ContextRef, EndpointRef, NotificationRef, ObjectRef, ReplyRef, SlotRef, SpaceRef,
    TableRef, TcbRef, TimerRef,
};
use crate::object::{
    CNode, Context, Endpoint, Header, Notification, Reply, Slot, Space, Table, Tcb, TimerNode,
};

macro_rules! by_handle {
    ($($name:ident($Ref:ty) -> $Object:ty = $at:ident;)*) => {$(
        /// The object of this handle.
        #[inline(always)]
        fn $name(&self, handle: $Ref) -> &$Object {
            self.$at(handle.raw())
        }
    )*};
}

/// Memory that holds kernel objects.
///
/// The accessors are safe for every handle: an object consists of cells in
/// which any bit pattern is a value, and an implementation lets handles reach
/// nothing but such memory. What a handle that names no object of its type
/// yields is the implementation's choice between stopping and any value; the
/// host's store stops, so that a test fails.
pub trait Store {
    /// The header of an object of any type.
    fn header(&self, handle: ObjectRef) -> &Header;
    /// A node of the timer tree.
    fn timer(&self, handle: TimerRef) -> &TimerNode;

    /// A capability slot. By the number of its handle, 0 included.
    fn slot_at(&self, raw: u32) -> &Slot;
    /// A CNode, without its slots. By the number of its handle, 0 included.
    fn cnode_at(&self, raw: u32) -> &CNode;
    /// A thread. By the number of its handle, 0 included.
    fn tcb_at(&self, raw: u32) -> &Tcb;
    /// An endpoint. By the number of its handle, 0 included.
    fn endpoint_at(&self, raw: u32) -> &Endpoint;
    /// A notification. By the number of its handle, 0 included.
    fn notification_at(&self, raw: u32) -> &Notification;
    /// A Reply. By the number of its handle, 0 included.
    fn reply_at(&self, raw: u32) -> &Reply;
    /// A scheduling context. By the number of its handle, 0 included.
    fn context_at(&self, raw: u32) -> &Context;
    /// An address space. By the number of its handle, 0 included.
    fn space_at(&self, raw: u32) -> &Space;
    /// A translation table. By the number of its handle, 0 included.
    fn table_at(&self, raw: u32) -> &Table;

    by_handle! {
        slot(SlotRef) -> Slot = slot_at;
        cnode(CNodeRef) -> CNode = cnode_at;
        tcb(TcbRef) -> Tcb = tcb_at;
        endpoint(EndpointRef) -> Endpoint = endpoint_at;
        notification(NotificationRef) -> Notification = notification_at;
        reply(ReplyRef) -> Reply = reply_at;
        context(ContextRef) -> Context = context_at;
        space(SpaceRef) -> Space = space_at;
        table(TableRef) -> Table = table_at;
    }

    /// Makes `bytes` of zeroed memory an object of type `object`; `slots` is
    /// the length of a CNode. The caller sets the header.
    fn create(&mut self, handle: ObjectRef, object: ObjectType, slots: u32);
    /// Makes a page of zeroed memory a translation table.
    fn create_table(&mut self, handle: TableRef);
    /// Ends whatever objects lie in these bytes of memory and zeroes them.
    fn zero(&mut self, address: u64, bytes: u64);
}
