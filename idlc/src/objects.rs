//! Kernel objects and rights by name. The numbers are those of the kernel's
//! ABI; a test compares them.

/// Types of kernel object that a capability in a message may refer to.
pub const OBJECTS: [&str; 14] = [
    "Untyped",
    "CNode",
    "Tcb",
    "Endpoint",
    "Notification",
    "Reply",
    "SchedulingContext",
    "AddressSpace",
    "MemoryObject",
    "IrqHandler",
    "SchedControl",
    "IrqControl",
    "Platform",
    "AsidControl",
];

/// Rights of the kernel with their masks.
pub const RIGHTS: [(&str, u32); 10] = [
    ("READ", 1 << 0),
    ("WRITE", 1 << 1),
    ("EXECUTE", 1 << 2),
    ("GRANT", 1 << 3),
    ("MANAGE", 1 << 4),
    ("MAP", 1 << 5),
    ("DMA", 1 << 6),
    ("SEND", 1 << 7),
    ("RECV", 1 << 8),
    ("CONTROL", 1 << 9),
];

/// Rights of the kernel that mean something on an endpoint.
pub const ENDPOINT_RIGHTS: [&str; 4] = ["SEND", "RECV", "GRANT", "MANAGE"];

/// The mask of a kernel right.
#[must_use]
pub fn right(name: &str) -> Option<u32> {
    RIGHTS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, mask)| *mask)
}
