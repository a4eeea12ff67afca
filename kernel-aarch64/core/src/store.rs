//! From handles to objects.

use gritos_abi::ObjectType;

use crate::handle::{
    CNodeRef, ContextRef, EndpointRef, NotificationRef, ObjectRef, ReplyRef, SlotRef, SpaceRef,
    TableRef, TcbRef, TimerRef,
};
use crate::object::{
    CNode, Context, Endpoint, Header, Notification, Reply, Slot, Space, Table, Tcb, TimerNode,
};

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
    /// A capability slot.
    fn slot(&self, handle: SlotRef) -> &Slot;
    /// A CNode, without its slots.
    fn cnode(&self, handle: CNodeRef) -> &CNode;
    /// A thread.
    fn tcb(&self, handle: TcbRef) -> &Tcb;
    /// An endpoint.
    fn endpoint(&self, handle: EndpointRef) -> &Endpoint;
    /// A notification.
    fn notification(&self, handle: NotificationRef) -> &Notification;
    /// A Reply.
    fn reply(&self, handle: ReplyRef) -> &Reply;
    /// A scheduling context.
    fn context(&self, handle: ContextRef) -> &Context;
    /// An address space.
    fn space(&self, handle: SpaceRef) -> &Space;
    /// A translation table.
    fn table(&self, handle: TableRef) -> &Table;
    /// A node of the timer tree.
    fn timer(&self, handle: TimerRef) -> &TimerNode;

    /// Makes `bytes` of zeroed memory an object of type `object`; `slots` is
    /// the length of a CNode. The caller sets the header.
    fn create(&mut self, handle: ObjectRef, object: ObjectType, slots: u32);
    /// Makes a page of zeroed memory a translation table.
    fn create_table(&mut self, handle: TableRef);
    /// Ends whatever objects lie in these bytes of memory and zeroes them.
    fn zero(&mut self, address: u64, bytes: u64);
}
