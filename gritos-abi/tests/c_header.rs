//! The C header, read by C compilers: is it the one that the crate emits, and does C see what Rust
//! sees?

use std::fmt::Write as _;
use std::mem::{align_of, offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gritos_abi::{
    Address, Arrival, Control, Kind, ObjectType, Outcome, Rights, Status, Syscall, c_header, method,
};

/// What the header's structures must look like.
#[repr(C)]
struct CapSlot {
    cap_cnode_ptr: u16,
    cap_cnode_index: u16,
    cap_rights_mask: u32,
    cap_badge: u32,
    cap_info: u32,
}

#[repr(C)]
struct MsgInfo {
    tag: u64,
    data_words: [u64; gritos_abi::message::DATA_WORDS],
    cap_slots: [CapSlot; gritos_abi::message::CAP_SLOTS],
    control: u64,
}

fn include_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
}

#[test]
fn the_committed_header_is_the_one_that_the_crate_emits() {
    let mut fresh = String::new();
    c_header::write(&mut fresh).expect("a string takes everything");
    let committed =
        std::fs::read_to_string(include_folder().join("gritos.h")).expect("the header is there");
    assert!(
        fresh == committed,
        "include/gritos.h is stale; run `cargo xtask codegen`"
    );
}

/// C text that fails to compile if a constant differs from what this crate says.
fn assertions() -> String {
    let mut c = String::from("#include \"gritos.h\"\n");
    let mut equal = |expression: &str, value: u64| {
        writeln!(
            c,
            "_Static_assert(({expression}) == UINT64_C({value}), \"{expression}\");"
        )
        .expect("a string takes everything");
    };
    macro_rules! layout {
        ($rust:ident, $c:literal, $($field:ident)*) => {
            equal(concat!("sizeof(", $c, ")"), size_of::<$rust>() as u64);
            equal(concat!("_Alignof(", $c, ")"), align_of::<$rust>() as u64);
            $(equal(
                concat!("offsetof(", $c, ", ", stringify!($field), ")"),
                offset_of!($rust, $field) as u64,
            );)*
        };
    }
    layout!(CapSlot, "gRiTOS_CapSlot_t",
        cap_cnode_ptr cap_cnode_index cap_rights_mask cap_badge cap_info);
    layout!(MsgInfo, "gRiTOS_MsgInfo_t", tag data_words cap_slots control);
    equal("sizeof(gRiTOS_CapSlot_t)", 16);

    let control = Control::words(7).with_caps(3, 0b101);
    equal("GRITOS_CONTROL(7, 3, 5)", control.0);
    let window = Control::default().with_window(Address::nested(0xfedc, 0xba98), 4);
    equal("GRITOS_CONTROL_WINDOW(0xfedcba98, 4)", window.0);
    equal(
        "GRITOS_CONTROL_DEADLINE",
        Control::default().with_deadline().0,
    );
    for kind in [Kind::Call, Kind::Fault, Kind::Reply] {
        let outcome = Outcome::message(kind, 8, 4).0;
        equal(
            &format!("GRITOS_OUTCOME_KIND(UINT64_C({outcome}))"),
            kind as u64,
        );
        equal(&format!("GRITOS_OUTCOME_WORDS(UINT64_C({outcome}))"), 8);
        equal(&format!("GRITOS_OUTCOME_CAPS(UINT64_C({outcome}))"), 4);
    }
    let error = Outcome::slot_error(Status::NoGrant, 3).0;
    equal(&format!("GRITOS_OUTCOME_FAULT_SLOT(UINT64_C({error}))"), 3);
    equal(
        &format!("GRITOS_OUTCOME_STATUS(UINT64_C({error}))"),
        Status::NoGrant as u64,
    );
    let arrival = Arrival::InSlot {
        object: ObjectType::Tcb,
        position: 3,
    }
    .encode();
    equal(
        &format!("GRITOS_CAP_TYPE({arrival})"),
        ObjectType::Tcb as u64,
    );
    equal(&format!("GRITOS_CAP_IN_SLOT({arrival})"), 1);
    equal(&format!("GRITOS_CAP_UNWRAPPED({arrival})"), 0);
    equal(&format!("GRITOS_CAP_WINDOW_POSITION({arrival})"), 3);
    let unwrapped = Arrival::Unwrapped.encode();
    equal(&format!("GRITOS_CAP_UNWRAPPED({unwrapped})"), 1);

    // A few names of each list, spelled out, so that their form cannot change unnoticed.
    for (name, value) in [
        ("RIGHT_SEND", u64::from(Rights::SEND.bits())),
        ("RIGHT_GRANT", u64::from(Rights::GRANT.bits())),
        ("RIGHTS_AS_HELD", 0),
        ("TS_INACTIVE", method::ThreadState::Inactive as u64),
        ("TS_READY", method::ThreadState::Ready as u64),
        ("TS_RUNNING", method::ThreadState::Running as u64),
        (
            "TS_BLOCKED_IPC_SEND",
            method::ThreadState::BlockedIpcSend as u64,
        ),
        (
            "TS_BLOCKED_IPC_RECV",
            method::ThreadState::BlockedIpcRecv as u64,
        ),
        (
            "TS_BLOCKED_NOTIFICATION",
            method::ThreadState::BlockedNotification as u64,
        ),
        ("TS_BLOCKED_SLEEP", method::ThreadState::BlockedSleep as u64),
        ("TS_TERMINATED", method::ThreadState::Terminated as u64),
        ("GRITOS_SYSCALL_REPLY_RECV", Syscall::ReplyRecv as u64),
        (
            "GRITOS_STATUS_NO_TABLE_MEMORY",
            Status::NoTableMemory as u64,
        ),
        ("GRITOS_OBJECT_CNODE", ObjectType::CNode as u64),
        (
            "GRITOS_OBJECT_SCHEDULING_CONTEXT",
            ObjectType::SchedulingContext as u64,
        ),
        ("GRITOS_CNODE_METHOD_REVOKE", method::CNode::Revoke as u64),
        (
            "GRITOS_MEMORY_OBJECT_METHOD_PHYSICAL_ADDRESS",
            method::MemoryObject::PhysicalAddress as u64,
        ),
        ("GRITOS_MEMORY_DEVICE", method::MemoryType::Device as u64),
    ] {
        equal(name, value);
    }
    c
}

fn compile(compiler: &str, options: &[&str], name: &str, text: &str) -> Option<Output> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = folder.join(format!("{name}.c"));
    std::fs::write(&source, text).expect("cargo's folder for tests can be written");
    Command::new(compiler)
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wpedantic",
            "-O1",
            "-c",
            "-o",
        ])
        .arg(folder.join(format!("{name}.o")))
        .arg("-I")
        .arg(include_folder())
        .args(options)
        .arg(source)
        .output()
        .ok()
}

fn assert_compiles(compiler: &str, output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{compiler} refuses the header:\n{errors}"
    );
}

#[test]
fn c_sees_the_layout_and_the_numbers_that_rust_sees() {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let output = compile(&compiler, &[], "layout", &assertions())
        .expect("a C compiler is needed to test the C header: install gcc or clang, or set CC");
    assert_compiles(&compiler, &output);
}

#[test]
fn a_wrong_number_would_be_noticed() {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let text = assertions().replace(
        "sizeof(gRiTOS_MsgInfo_t)) == UINT64_C(144)",
        "1) == UINT64_C(2)",
    );
    let output = compile(&compiler, &[], "wrong", &text).expect("a C compiler");
    assert!(!output.status.success());
}

/// Uses every wrapper, so that each is compiled with its assembly.
const USES: &str = "
#include \"gritos.h\"
gRiTOS_Status_t use(gRiTOS_MsgInfo_t *message_info_send, gRiTOS_MsgInfo_t *message_info_recv) {
    gRiTOS_Sender_t sender;
    gRiTOS_Status_t status = gRiTOS_Call(1, message_info_send, message_info_recv);
    status |= gRiTOS_CallUntil(1, message_info_send, message_info_recv, 100);
    status |= gRiTOS_KernelObject_Invoke(2, GRITOS_TCB_METHOD_RESUME, NULL, NULL);
    status |= gRiTOS_SendAsync(1, message_info_send);
    status |= gRiTOS_Recv(1, 2, GRITOS_CONTROL_WINDOW(8, 4), message_info_recv, &sender);
    status |= gRiTOS_IPC_Recv(1, 2, 0, message_info_recv, NULL);
    status |= gRiTOS_RecvUntil(0, 0, 0, NULL, NULL, 100);
    status |= gRiTOS_Poll(1, 2, 0, message_info_recv, &sender);
    status |= gRiTOS_Reply(2, message_info_send);
    status |= gRiTOS_ReplyRecv(1, 2, 0, message_info_send, message_info_recv, &sender);
    gRiTOS_Yield();
    return status | gRiTOS_DebugPutchar('x');
}
";

#[test]
fn every_wrapper_compiles_where_it_is_declared_only_and_where_it_is_defined() {
    let host = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    assert_compiles(
        &host,
        &compile(&host, &[], "uses", USES).expect("a C compiler"),
    );
    // Compilers for the target, where this machine has one; each must assemble the wrappers.
    let freestanding = ["-ffreestanding", "-mgeneral-regs-only"];
    let for_target = [
        "--target=aarch64-none-elf",
        "-ffreestanding",
        "-mgeneral-regs-only",
    ];
    for (compiler, options) in [
        ("clang", for_target.as_slice()),
        ("aarch64-linux-gnu-gcc", freestanding.as_slice()),
        ("aarch64-none-elf-gcc", freestanding.as_slice()),
    ] {
        let name = format!("uses-{compiler}");
        for (name, text) in [
            (name.clone(), USES.to_string()),
            (name + "-layout", assertions()),
        ] {
            if let Some(output) = compile(compiler, options, &name, &text) {
                assert_compiles(compiler, &output);
            }
        }
    }
}
