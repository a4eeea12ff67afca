//! Faults of every kind, and every way to go on.

use gritos_sys::abi::Rights;
use gritos_sys::abi::fault::{FaultKind, FaultReply};
use gritos_sys::abi::message::Kind;
use gritos_sys::abi::method::ThreadState;
use gritos_sys::cap::{Endpoint, Reply, Tcb};
use gritos_sys::invoke::Permissions;
use gritos_sys::svc::probe;
use gritos_sys::{Cap, Message, Received, Wait};

use super::tests;
use crate::check::{Verdict, check, check_eq, check_refused};
use crate::env::{ABOVE, Entry, Env, cell, end, set_cell};

tests![
    loads_and_stores_fault,
    fetches_fault,
    undefined_instructions_fault,
    privileged_registers_are_out_of_reach,
    permitted_instructions_do_not_fault,
    breakpoints_tell_their_number,
    misaligned_exclusives_fault,
    fp_needs_permission,
    a_repaired_fault_is_retried,
    a_handler_can_jump,
    a_handler_can_suspend_or_kill,
    a_fault_waits_for_its_handler,
    a_fault_without_handler_stops_the_thread,
    a_lost_handler_stops_the_thread,
    faults_carry_the_badge_of_the_handler,
    the_kernel_is_out_of_reach,
];

/// Nothing is ever mapped here.
const NOWHERE: u64 = 0x3000_0000;
/// Where tests map pages.
const PAGE: u64 = 0x3100_0000;
/// The first address of the kernel's half.
const KERNEL_HALF: u64 = 0xffff_ff80_0000_0000;

/// A thread that faults, and what its handler receives.
struct Case {
    thread: Cap<Tcb>,
    handler: Cap<Endpoint>,
    reply: Cap<Reply>,
    fault: Received,
}

impl Case {
    fn new(env: &mut Env, entry: Entry, argument: u64) -> Verdict<Self> {
        let (handler, reply) = env.endpoint_and_reply()?;
        let thread = env.spawn_watched(ABOVE, entry, argument, handler)?;
        let fault = handler.recv(Some(reply), &Wait::FOREVER)?;
        check!(fault.is(Kind::Fault));
        Ok(Self {
            thread,
            handler,
            reply,
            fault,
        })
    }

    fn is(&self, kind: FaultKind, address: u64) -> Verdict {
        check_eq!(self.fault.tag(), kind as u64);
        check_eq!(self.fault.words()[0], address);
        Ok(())
    }

    fn pc(&self) -> u64 {
        self.fault.words()[1]
    }

    fn answer(&self, reply: FaultReply) -> Verdict {
        Ok(self.reply.reply(&Message::new(reply as u64))?)
    }

    /// Goes on behind the instruction and expects the thread to come to its
    /// end.
    fn skip_to_the_end(&self) -> Verdict {
        self.answer(FaultReply::Skip)?;
        // Its last instruction, a breakpoint, faults as well.
        let last = self.handler.recv(Some(self.reply), &Wait::FOREVER)?;
        check_eq!(last.tag(), FaultKind::Breakpoint as u64);
        check_eq!(last.words()[3] as u16, gritos_sys::rt::EXIT);
        self.answer(FaultReply::Kill)
    }
}

extern "C" fn load(address: u64) -> ! {
    set_cell(1, 1 + probe::load(address));
    end()
}

extern "C" fn store(address: u64) -> ! {
    set_cell(1, 1 + u64::from(probe::store(address, 7)));
    end()
}

extern "C" fn jump(address: u64) -> ! {
    probe::jump(address);
    set_cell(1, 1);
    end()
}

extern "C" fn undefined(_: u64) -> ! {
    probe::undefined();
    set_cell(1, 1);
    end()
}

extern "C" fn privileged(_: u64) -> ! {
    for which in 0..probe::PRIVILEGED {
        set_cell(2, which as u64);
        // All that is left of the value is the argument.
        set_cell(1, cell(1) + probe::privileged(which, 1));
    }
    end()
}

/// Executes what all may, on memory of its own.
extern "C" fn permitted(address: u64) -> ! {
    for which in 0..probe::PERMITTED {
        set_cell(2, which as u64);
        let _ = probe::permitted(which, address);
        set_cell(1, cell(1) + 1);
    }
    end()
}

extern "C" fn breakpoint(_: u64) -> ! {
    probe::brk::<0x1234>();
    set_cell(1, 1);
    end()
}

extern "C" fn misaligned(address: u64) -> ! {
    set_cell(1, 1 + probe::load_exclusive(address));
    end()
}

extern "C" fn fp(_: u64) -> ! {
    probe::use_fp();
    set_cell(1, 1);
    end()
}

fn loads_and_stores_fault(env: &mut Env) -> Verdict {
    for address in [0, 8, NOWHERE, (1 << 39) - 8, 1 << 39, 1 << 47] {
        let case = Case::new(env, load, address)?;
        case.is(FaultKind::DataAbort, address)?;
        case.skip_to_the_end()?;
        check_eq!(cell(1), 1);
        let case = Case::new(env, store, address)?;
        case.is(FaultKind::DataAbort, address)?;
        // WnR of the syndrome tells a store from a load (Arm ARM, "ISS
        // encoding for an exception from a Data Abort").
        check!(case.fault.words()[3] & 1 << 6 != 0);
        case.skip_to_the_end()?;
        check_eq!(cell(1), 2);
    }
    Ok(())
}

fn fetches_fault(env: &mut Env) -> Verdict {
    let data = crate::env::CELLS.as_ptr().addr() as u64;
    for address in [
        0,
        NOWHERE,
        KERNEL_HALF,
        data,
        gritos_sys::process::STACK_TOP - 64,
    ] {
        let case = Case::new(env, jump, address)?;
        case.is(FaultKind::InstructionAbort, address)?;
        check_eq!(case.pc(), address);
        // Back to where the jump came from.
        const LINK: u64 = 30;
        let [link, ..] = case.thread.read_registers(LINK, 1)?;
        let back = Message::with(FaultReply::Jump as u64, [link, case.fault.words()[2]]);
        case.reply.reply(&back)?;
        check_eq!(cell(1), 1);
        set_cell(1, 0);
        env.delete(case.thread)?;
    }
    Ok(())
}

fn undefined_instructions_fault(env: &mut Env) -> Verdict {
    let case = Case::new(env, undefined, 0)?;
    check_eq!(case.fault.tag(), FaultKind::Undefined as u64);
    case.skip_to_the_end()?;
    check_eq!(cell(1), 1);
    Ok(())
}

fn privileged_registers_are_out_of_reach(env: &mut Env) -> Verdict {
    let case = Case::new(env, privileged, 0)?;
    let skip = Message::new(FaultReply::Skip as u64);
    check_eq!(case.fault.tag(), FaultKind::Undefined as u64);
    for which in 1..probe::PRIVILEGED as u64 {
        let wait = Wait::FOREVER;
        let fault = case.handler.reply_recv(case.reply, &skip, &wait)?;
        check_eq!((which, fault.tag()), (which, FaultKind::Undefined as u64));
        // It is this one's, and the one before it left the register alone.
        check_eq!((cell(2), cell(1)), (which, which));
    }
    case.skip_to_the_end()?;
    check_eq!(cell(1), probe::PRIVILEGED as u64);
    Ok(())
}

fn permitted_instructions_do_not_fault(env: &mut Env) -> Verdict {
    let page = env.memory(4096)?;
    page.map_all(Env::SPACE, PAGE, Permissions::ReadWrite)?;
    env.spawn(ABOVE, permitted, PAGE)?;
    check_eq!(
        (cell(2), cell(1)),
        (probe::PERMITTED as u64 - 1, probe::PERMITTED as u64)
    );
    Ok(())
}

fn breakpoints_tell_their_number(env: &mut Env) -> Verdict {
    let case = Case::new(env, breakpoint, 0)?;
    check_eq!(case.fault.tag(), FaultKind::Breakpoint as u64);
    check_eq!(case.fault.words()[3] as u16, 0x1234);
    case.skip_to_the_end()?;
    check_eq!(cell(1), 1);
    Ok(())
}

fn misaligned_exclusives_fault(env: &mut Env) -> Verdict {
    let page = env.memory(4096)?;
    page.map_all(Env::SPACE, PAGE, Permissions::ReadWrite)?;
    let case = Case::new(env, misaligned, PAGE + 1)?;
    case.is(FaultKind::Alignment, PAGE + 1)?;
    case.skip_to_the_end()?;
    check_eq!(cell(1), 1);
    Ok(())
}

fn fp_needs_permission(env: &mut Env) -> Verdict {
    let case = Case::new(env, fp, 0)?;
    check_eq!(case.fault.tag(), FaultKind::FpAccess as u64);
    case.skip_to_the_end()?;
    check_eq!(cell(1), 1);
    set_cell(1, 0);
    let allowed = env.thread(ABOVE, fp, 0, None)?;
    allowed.set_flags(gritos_sys::abi::method::TCB_FLAG_FP)?;
    check_refused!(allowed.set_flags(2), InvalidArgument);
    allowed.resume()?;
    check_eq!(cell(1), 1);
    Ok(())
}

fn a_repaired_fault_is_retried(env: &mut Env) -> Verdict {
    let case = Case::new(env, load, PAGE + 8)?;
    case.is(FaultKind::DataAbort, PAGE + 8)?;
    // The same fault again as long as nothing changes.
    case.answer(FaultReply::Retry)?;
    let again = case.handler.recv(Some(case.reply), &Wait::FOREVER)?;
    check_eq!(again.words(), case.fault.words());
    let page = env.memory(4096)?;
    page.map_all(Env::SPACE, PAGE, Permissions::Read)?;
    case.answer(FaultReply::Retry)?;
    check_eq!(cell(1), 1);
    Ok(())
}

/// Where a handler sends a thread.
extern "C" fn rescued(_: u64) -> ! {
    set_cell(2, 77);
    end()
}

fn a_handler_can_jump(env: &mut Env) -> Verdict {
    let case = Case::new(env, load, NOWHERE)?;
    let target = rescued as Entry as usize as u64;
    let jump = Message::with(FaultReply::Jump as u64, [target, case.fault.words()[2]]);
    case.reply.reply(&jump)?;
    check_eq!((cell(1), cell(2)), (0, 77));
    Ok(())
}

fn a_handler_can_suspend_or_kill(env: &mut Env) -> Verdict {
    let case = Case::new(env, load, NOWHERE)?;
    env.expect_state(case.thread, ThreadState::BlockedIpcRecv)?;
    case.answer(FaultReply::Suspend)?;
    env.expect_state(case.thread, ThreadState::Inactive)?;
    case.thread.resume()?;
    let again = case.handler.recv(Some(case.reply), &Wait::FOREVER)?;
    check_eq!(again.tag(), FaultKind::DataAbort as u64);
    case.reply.reply(&Message::new(12345))?;
    env.expect_state(case.thread, ThreadState::Inactive)?;
    case.thread.resume()?;
    case.handler.recv(Some(case.reply), &Wait::FOREVER)?;
    case.answer(FaultReply::Kill)?;
    env.expect_state(case.thread, ThreadState::Terminated)?;
    check_refused!(case.thread.resume(), InvalidState);
    Ok(())
}

fn a_fault_waits_for_its_handler(env: &mut Env) -> Verdict {
    let (handler, reply) = env.endpoint_and_reply()?;
    let first = env.spawn_watched(ABOVE, load, NOWHERE, handler)?;
    env.spawn_watched(ABOVE, load, NOWHERE + 8, handler)?;
    env.expect_state(first, ThreadState::BlockedIpcSend)?;
    check_refused!(handler.poll(None, &Wait::FOREVER), WouldBlock);
    for address in [NOWHERE, NOWHERE + 8] {
        let fault = handler.recv(Some(reply), &Wait::FOREVER)?;
        check_eq!((fault.kind(), fault.words()[0]), (Ok(Kind::Fault), address));
        reply.reply(&Message::new(FaultReply::Kill as u64))?;
    }
    Ok(())
}

fn a_fault_without_handler_stops_the_thread(env: &mut Env) -> Verdict {
    let thread = env.spawn(ABOVE, load, NOWHERE)?;
    env.expect_state(thread, ThreadState::Inactive)?;
    check_eq!(cell(1), 0);
    // A handler through which nothing may be sent is none.
    let (handler, reply) = env.endpoint_and_reply()?;
    let deaf = env.copy(handler, Rights::RECV)?;
    let thread = env.passive_thread(ABOVE, load, NOWHERE, None)?;
    check_refused!(thread.configure(None, None, Some(deaf)), MissingRight);
    check_refused!(handler.poll(Some(reply), &Wait::FOREVER), WouldBlock);
    Ok(())
}

fn a_lost_handler_stops_the_thread(env: &mut Env) -> Verdict {
    let (handler, reply) = env.endpoint_and_reply()?;
    // While its fault is queued.
    let queued = env.spawn_watched(ABOVE, load, NOWHERE, handler)?;
    env.expect_state(queued, ThreadState::BlockedIpcSend)?;
    // While its fault is being handled.
    let other = Case::new(env, load, NOWHERE)?;
    env.revoke(handler)?;
    env.delete(handler)?;
    env.expect_state(queued, ThreadState::Inactive)?;
    env.delete(other.reply)?;
    env.expect_state(other.thread, ThreadState::Inactive)?;
    check_refused!(reply.reply(&Message::new(0)), ReplySpent);
    Ok(())
}

fn faults_carry_the_badge_of_the_handler(env: &mut Env) -> Verdict {
    let (handler, reply) = env.endpoint_and_reply()?;
    let badged = env.mint(handler, Rights::SEND, 0x8000_0042)?;
    env.spawn_watched(ABOVE, load, NOWHERE, badged)?;
    let fault = handler.recv(Some(reply), &Wait::FOREVER)?;
    check_eq!((fault.badge(), fault.word_count()), (0x8000_0042, 5));
    check!(fault.is(Kind::Fault));
    reply.reply(&Message::new(FaultReply::Kill as u64))?;
    Ok(())
}

fn the_kernel_is_out_of_reach(env: &mut Env) -> Verdict {
    for offset in [0, 0x20_0000, 0x4000_0000, 0x7f_ffff_f000] {
        let address = KERNEL_HALF + offset;
        let case = Case::new(env, load, address)?;
        check_eq!(case.fault.tag(), FaultKind::DataAbort as u64);
        // Nothing of the kernel is in the message: the address is the thread's
        // own choice, pc and sp lie in its half.
        check!(case.pc() < 1 << 39 && case.fault.words()[2] < 1 << 39);
        case.skip_to_the_end()?;
        check_eq!(cell(1), 1);
        let case = Case::new(env, store, address)?;
        check_eq!(case.fault.tag(), FaultKind::DataAbort as u64);
        case.skip_to_the_end()?;
    }
    Ok(())
}
