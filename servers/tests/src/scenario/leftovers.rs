//! Nothing of one thread is left in the registers of another.
//!
//! Every general register, the flags and the thread pointer are filled with a
//! pattern before a call and looked at behind it: for each call and each
//! outcome they hold the message, zero, or what was the thread's own.

use gritos_sys::abi::message::Kind;
use gritos_sys::abi::{Address, Control, Outcome, Rights, Status, Syscall};
use gritos_sys::cap::{Endpoint, Notification, Reply, Tcb};
use gritos_sys::svc::probe::{self, AllRegisters};
use gritos_sys::{Cap, Message, Wait, time};

use super::tests;
use crate::check::{Failure, Verdict, check, check_eq};
use crate::env::{ABOVE, BELOW, CELLS, Env, cell, end, high, low, pack};

tests![
    refusals_leave_only_ones_own,
    methods_return_only_their_results,
    a_receiver_sees_the_message_and_its_own,
    a_caller_sees_the_reply_and_its_own,
    bits_come_alone,
    timeouts_and_deletions_leave_only_ones_own,
    a_fault_and_its_repair_change_nothing,
    an_interrupt_changes_nothing,
    a_new_thread_begins_with_zeroes,
    fp_registers_stay_apart,
];

const MINE: u64 = 0x1111_1111_6000_0000;
const THEIRS: u64 = 0x2222_2222_9000_0000;
/// Where helper threads put the registers that they see.
const SEEN: usize = 16;

/// Registers filled with a pattern, then those of the call.
fn filled(pattern: u64, target: u64, tag: u64, control: Control) -> AllRegisters {
    let mut registers = AllRegisters {
        x: core::array::from_fn(|i| pattern | i as u64),
        // Bits of the pattern: those of the two sides differ.
        nzcv: pattern & 0xf000_0000,
        thread_pointer: pattern | 0xff,
        sp: 0,
    };
    registers.x[8] = target;
    registers.x[9] = tag;
    registers.x[10] = control.0;
    registers
}

fn target<T>(cap: Cap<T>) -> u64 {
    u64::from(cap.address().0)
}

/// What a thread must find behind a call that gave it nothing but an outcome:
/// its own words and preserved registers, zeroes, the outcome.
#[track_caller]
fn only_own(before: &AllRegisters, after: &AllRegisters, outcome: Outcome) -> Verdict {
    words(before.x[..8].iter(), after)?;
    result(after, 0, 0, outcome)?;
    preserved(before, after)
}

#[track_caller]
fn words<'a>(expected: impl Iterator<Item = &'a u64>, after: &AllRegisters) -> Verdict {
    for (i, (expected, found)) in expected.zip(after.x).enumerate() {
        if *expected != found {
            return Err(Failure::new(format_args!(
                "x{i} is {found:#x}, expected {expected:#x}"
            )));
        }
    }
    Ok(())
}

/// x8–x17 of a result without capabilities.
#[track_caller]
fn result(after: &AllRegisters, sender: u64, tag: u64, outcome: Outcome) -> Verdict {
    check_eq!(after.x[8..11], [sender, tag, outcome.0]);
    check_eq!(after.x[11..18], [0; 7]);
    Ok(())
}

#[track_caller]
fn preserved(before: &AllRegisters, after: &AllRegisters) -> Verdict {
    check_eq!(after.x[18..], before.x[18..]);
    check!(after.nzcv == 0 || after.nzcv == before.nzcv);
    check_eq!(after.thread_pointer, before.thread_pointer);
    check_eq!(after.sp, 0);
    Ok(())
}

const CALL: u16 = Syscall::Call as u16;
const REPLY_RECV: u16 = Syscall::ReplyRecv as u16;
const SEND_ASYNC: u16 = Syscall::SendAsync as u16;
const RECV: u16 = Syscall::Recv as u16;
const POLL: u16 = Syscall::Poll as u16;
const REPLY: u16 = Syscall::Reply as u16;
const YIELD: u16 = Syscall::Yield as u16;

fn refusals_leave_only_ones_own(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let mute = env.copy(endpoint, Rights::GRANT)?;
    let plain = Control::words(8);
    let bad = Control(15);
    let nowhere = Cap::<Reply>::at(Address::root(9999));
    let nowhere = pack(nowhere, nowhere);
    let refused = |after: AllRegisters, before: &AllRegisters, status| {
        only_own(before, &after, Outcome::error(status))
    };
    // The same refusal of each call, then special ones.
    let before = filled(MINE, nowhere, 5, plain);
    refused(
        probe::svc_all::<CALL>(&before),
        &before,
        Status::InvalidAddress,
    )?;
    refused(
        probe::svc_all::<SEND_ASYNC>(&before),
        &before,
        Status::InvalidAddress,
    )?;
    refused(
        probe::svc_all::<RECV>(&before),
        &before,
        Status::InvalidAddress,
    )?;
    refused(
        probe::svc_all::<POLL>(&before),
        &before,
        Status::InvalidAddress,
    )?;
    refused(
        probe::svc_all::<REPLY>(&before),
        &before,
        Status::InvalidAddress,
    )?;
    refused(
        probe::svc_all::<REPLY_RECV>(&before),
        &before,
        Status::InvalidAddress,
    )?;
    let before = filled(MINE, target(mute), 5, plain);
    refused(
        probe::svc_all::<CALL>(&before),
        &before,
        Status::MissingRight,
    )?;
    refused(
        probe::svc_all::<SEND_ASYNC>(&before),
        &before,
        Status::MissingRight,
    )?;
    refused(
        probe::svc_all::<POLL>(&before),
        &before,
        Status::MissingRight,
    )?;
    let before = filled(MINE, target(endpoint), 5, bad);
    refused(
        probe::svc_all::<CALL>(&before),
        &before,
        Status::InvalidArgument,
    )?;
    let before = filled(MINE, target(endpoint), 5, plain);
    refused(
        probe::svc_all::<SEND_ASYNC>(&before),
        &before,
        Status::WouldBlock,
    )?;
    refused(probe::svc_all::<POLL>(&before), &before, Status::WouldBlock)?;
    let before = filled(MINE, pack(endpoint, reply), 5, plain);
    refused(
        probe::svc_all::<REPLY>(&before),
        &before,
        Status::ReplySpent,
    )?;
    refused(
        probe::svc_all::<REPLY_RECV>(&before),
        &before,
        Status::ReplySpent,
    )?;
    let before = filled(MINE, target(Env::TCB), 999, plain);
    refused(
        probe::svc_all::<CALL>(&before),
        &before,
        Status::UnknownMethod,
    )?;
    let before = filled(MINE, 0, 0, bad);
    refused(
        probe::svc_all::<77>(&before),
        &before,
        Status::InvalidSyscall,
    )?;
    let before = filled(MINE, 0, 0, bad);
    only_own(&before, &probe::svc_all::<YIELD>(&before), Outcome(0))
}

fn methods_return_only_their_results(env: &mut Env) -> Verdict {
    use gritos_sys::abi::method;
    let notification = env.make::<Notification>()?;
    let before = filled(MINE, target(notification), 0, Control::words(1));
    let after = probe::svc_all::<CALL>(&before);
    only_own(&before, &after, Outcome::message(Kind::Reply, 0, 0))?;
    let after = probe::svc_all::<SEND_ASYNC>(&before);
    only_own(&before, &after, Outcome::message(Kind::Reply, 0, 0))?;
    // A method with one word of result.
    let info = method::Tcb::Info as u64;
    let before = filled(MINE, target(Env::TCB), info, Control::words(0));
    let after = probe::svc_all::<CALL>(&before);
    check_eq!(after.x[1..8], before.x[1..8]);
    result(&after, 0, 0, Outcome::message(Kind::Reply, 1, 0))?;
    preserved(&before, &after)
}

/// Puts registers where the test finds them.
fn show(registers: &AllRegisters) {
    let seen =
        registers
            .x
            .into_iter()
            .chain([registers.nzcv, registers.thread_pointer, registers.sp]);
    for (place, value) in CELLS.iter().skip(SEEN).zip(seen) {
        place.store(value, core::sync::atomic::Ordering::SeqCst);
    }
}

fn shown() -> AllRegisters {
    AllRegisters {
        x: core::array::from_fn(|i| cell(SEEN + i)),
        nzcv: cell(SEEN + 31),
        thread_pointer: cell(SEEN + 32),
        sp: cell(SEEN + 33),
    }
}

/// Receives with patterns of its own, shows what it got, answers nothing.
extern "C" fn receiver(word: u64) -> ! {
    let before = filled(THEIRS, word, THEIRS | 9, Control(0));
    show(&probe::svc_all::<RECV>(&before));
    end()
}

fn a_receiver_sees_the_message_and_its_own(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let rights = Rights::SEND | Rights::server(2);
    let client = env.mint(endpoint, rights, 0x8000_0007)?;
    let sender = 0x8000_0007 | u64::from(rights.bits()) << 32;
    let theirs = filled(THEIRS, 0, 0, Control(0));
    // One way, to a receiver that waits.
    env.spawn(ABOVE, receiver, target(endpoint))?;
    let before = filled(MINE, target(client), 0xabc, Control::words(2));
    let after = probe::svc_all::<SEND_ASYNC>(&before);
    only_own(&before, &after, Outcome::message(Kind::Reply, 0, 0))?;
    let seen = shown();
    words(before.x[..8].iter(), &seen)?;
    result(&seen, sender, 0xabc, Outcome::message(Kind::OneWay, 2, 0))?;
    preserved(&theirs, &seen)?;
    // A call, to a receiver that waits; the call then dies with its Reply.
    env.spawn(ABOVE, receiver, pack(endpoint, reply))?;
    let call = filled(
        MINE,
        target(client),
        0xdef,
        Control::words(8).with_deadline(),
    );
    let call = AllRegisters {
        x: {
            let mut x = call.x;
            x[17] = time::after(1_000_000);
            x
        },
        ..call
    };
    let after = probe::svc_all::<CALL>(&call);
    only_own(&call, &after, Outcome::error(Status::TimedOut))?;
    let seen = shown();
    words(call.x[..8].iter(), &seen)?;
    result(&seen, sender, 0xdef, Outcome::message(Kind::Call, 8, 0))?;
    preserved(&theirs, &seen)
}

/// Calls with patterns of its own and shows what comes back.
extern "C" fn caller(word: u64) -> ! {
    let before = filled(THEIRS, word, 4, Control::words(3));
    show(&probe::svc_all::<CALL>(&before));
    end()
}

fn a_caller_sees_the_reply_and_its_own(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let theirs = filled(THEIRS, 0, 0, Control(0));
    let sender = u64::from(
        Env::CNODE
            .inspect(endpoint.address().index())?
            .rights
            .bits(),
    ) << 32;
    // A queued call, received with patterns; its answer with patterns.
    env.spawn(ABOVE, caller, target(endpoint))?;
    let before = filled(MINE, pack(endpoint, reply), 7, Control(0));
    let after = probe::svc_all::<RECV>(&before);
    let message: [u64; 8] = core::array::from_fn(|i| THEIRS | i as u64);
    words(message.iter(), &after)?;
    result(&after, sender, 4, Outcome::message(Kind::Call, 3, 0))?;
    preserved(&before, &after)?;
    let answer = filled(
        MINE,
        u64::from(reply.address().0) << 32,
        0x55,
        Control::words(1),
    );
    let after = probe::svc_all::<REPLY>(&answer);
    only_own(&answer, &after, Outcome::message(Kind::Reply, 0, 0))?;
    let seen = shown();
    words(answer.x[..8].iter(), &seen)?;
    result(&seen, 0, 0x55, Outcome::message(Kind::Reply, 1, 0))?;
    preserved(&theirs, &seen)
}

/// Waits for bits with patterns of its own.
extern "C" fn waiter(word: u64) -> ! {
    let before = filled(THEIRS, word, 4, Control(0));
    show(&probe::svc_all::<RECV>(&before));
    end()
}

fn bits_come_alone(env: &mut Env) -> Verdict {
    let notification = env.make::<Notification>()?;
    let bits = Outcome::message(Kind::Notification, 1, 0);
    let theirs = filled(THEIRS, 0, 0, Control(0));
    env.spawn(ABOVE, waiter, target(notification))?;
    let before = filled(MINE, target(notification), 0, Control::words(1));
    let after = probe::svc_all::<SEND_ASYNC>(&before);
    only_own(&before, &after, Outcome::message(Kind::Reply, 0, 0))?;
    let seen = shown();
    words([MINE, 0, 0, 0, 0, 0, 0, 0].iter(), &seen)?;
    result(&seen, 0, 0, bits)?;
    preserved(&theirs, &seen)?;
    notification.signal(6)?;
    let before = filled(MINE, target(notification), 3, Control(0));
    let after = probe::svc_all::<POLL>(&before);
    words([6, 0, 0, 0, 0, 0, 0, 0].iter(), &after)?;
    result(&after, 0, 0, bits)?;
    preserved(&before, &after)
}

fn timeouts_and_deletions_leave_only_ones_own(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let timed = Control::words(4).with_deadline();
    let with_deadline = |target| {
        let mut before = filled(MINE, target, 5, timed);
        before.x[17] = time::after(200_000);
        before
    };
    let timed_out = Outcome::error(Status::TimedOut);
    let before = with_deadline(0);
    only_own(&before, &probe::svc_all::<RECV>(&before), timed_out)?;
    let before = with_deadline(pack(endpoint, reply));
    only_own(&before, &probe::svc_all::<RECV>(&before), timed_out)?;
    let before = with_deadline(target(endpoint));
    only_own(&before, &probe::svc_all::<CALL>(&before), timed_out)?;
    let theirs = |word, tag, words| filled(THEIRS, word, tag, Control::words(words));
    // A caller whose endpoint is deleted while it is queued.
    env.spawn(ABOVE, caller, target(endpoint))?;
    env.delete(endpoint)?;
    let before = theirs(target(endpoint), 4, 3);
    only_own(&before, &shown(), Outcome::error(Status::Deleted))?;
    // A caller whose Reply is deleted.
    let endpoint: Cap<Endpoint> = env.make()?;
    env.spawn(ABOVE, caller, target(endpoint))?;
    endpoint.recv(Some(reply), &Wait::FOREVER)?;
    env.delete(reply)?;
    let before = theirs(target(endpoint), 4, 3);
    only_own(&before, &shown(), Outcome::error(Status::ServerDied))?;
    // A thread that is suspended while it waits.
    let thread = env.spawn(ABOVE, caller, target(endpoint))?;
    thread.suspend()?;
    thread.resume()?;
    only_own(&before, &shown(), Outcome::error(Status::Aborted))
}

/// Shows its registers behind an unknown system call, with a page fault before.
extern "C" fn faulter(address: u64) -> ! {
    let _ = probe::load(address);
    let before = filled(THEIRS, 0, 0, Control(0));
    show(&probe::svc_all::<99>(&before));
    end()
}

fn a_fault_and_its_repair_change_nothing(env: &mut Env) -> Verdict {
    use gritos_sys::abi::fault::FaultReply;
    let (handler, reply) = env.endpoint_and_reply()?;
    let thread = env.spawn_watched(ABOVE, faulter, 0x3000_0000, handler)?;
    handler.recv(Some(reply), &Wait::FOREVER)?;
    let before = registers_of(thread)?;
    // The handler's answer is full of patterns, of which none arrives.
    let answer = Message::with(FaultReply::Retry as u64, [MINE; 8]);
    handler.reply_recv(reply, &answer, &Wait::FOREVER)?;
    check_eq!(registers_of(thread)?, before);
    reply.reply(&Message::with(FaultReply::Skip as u64, [MINE; 8]))?;
    let theirs = filled(THEIRS, 0, 0, Control(0));
    only_own(&theirs, &shown(), Outcome::error(Status::InvalidSyscall))
}

fn registers_of(thread: Cap<Tcb>) -> Verdict<[u64; 32]> {
    let mut all = [0; 32];
    for (first, part) in (0..).step_by(8).zip(all.chunks_exact_mut(8)) {
        part.copy_from_slice(&thread.read_registers(first, 8)?);
    }
    Ok(all)
}

/// Spins with every register full; shows them when cell 1 is set.
extern "C" fn spinner(_: u64) -> ! {
    let before = filled(THEIRS, 0, 0, Control(0));
    while cell(1) == 0 {
        let after = probe::svc_all::<99>(&before);
        if only_own(&before, &after, Outcome::error(Status::InvalidSyscall)).is_err() {
            crate::env::set_cell(2, 1);
        }
    }
    crate::env::set_cell(3, 1);
    end()
}

fn an_interrupt_changes_nothing(env: &mut Env) -> Verdict {
    // Interrupts hit the spinning thread wherever it is.
    env.spawn(BELOW, spinner, 0)?;
    for _ in 0..2000 {
        crate::env::pause(3_001);
    }
    crate::env::set_cell(1, 1);
    crate::env::pause(1_000_000);
    check_eq!((cell(2), cell(3)), (0, 1));
    Ok(())
}

/// Shows the registers that it begins with, as far as the compiler leaves them.
extern "C" fn beginner(_: u64) -> ! {
    end()
}

fn a_new_thread_begins_with_zeroes(env: &mut Env) -> Verdict {
    let thread = env.thread(BELOW, beginner, 0, None)?;
    let registers = registers_of(thread)?;
    check_eq!(registers[..31], [0; 31]);
    let _ = (low::<Reply>(0), high::<Reply>(0));
    Ok(())
}

const THEIR_FP: u64 = 0x7777_7777_7777_7777;
const MY_FP: u64 = 0x3333_3333_3333_3333;
/// Rounding towards zero, as `probe::svc_with_fp` sets it.
const ROUND_TO_ZERO: u64 = 0xc0_0000;

/// Whether every FP register is zero or the thread's own, and the control
/// register its own.
fn fp_is_own(registers: &probe::FpRegisters, pattern: u64) -> bool {
    registers.fpcr == ROUND_TO_ZERO
        && registers
            .v
            .iter()
            .flatten()
            .all(|half| *half == 0 || *half == pattern)
}

/// Serves calls with patterns in its FP registers; cell 2 counts what it found
/// wrong, cell 3 the calls.
extern "C" fn fp_server(word: u64) -> ! {
    let mut registers = probe::svc_with_fp::<RECV>(word, 0, THEIR_FP);
    loop {
        if !fp_is_own(&registers, THEIR_FP) {
            crate::env::add_cell(2, 1);
        }
        if crate::env::add_cell(3, 1) == 200 {
            end();
        }
        registers = probe::svc_with_fp::<REPLY_RECV>(word, 0, THEIR_FP);
    }
}

/// Calls with patterns in its FP registers, lets others run in between, and
/// notes in cell 4 what it found wrong.
extern "C" fn fp_client(word: u64) -> ! {
    for _ in 0..100 {
        let after = probe::svc_with_fp::<CALL>(word, 0, MY_FP);
        let refused = probe::svc_with_fp::<99>(word, 0, MY_FP);
        if !fp_is_own(&after, MY_FP) || !fp_is_own(&refused, MY_FP) {
            crate::env::add_cell(4, 1);
        }
    }
    crate::env::set_cell(5, 1);
    end()
}

fn fp_registers_stay_apart(env: &mut Env) -> Verdict {
    use gritos_sys::abi::method::TCB_FLAG_FP;
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let server = env.thread(ABOVE, fp_server, pack(endpoint, reply), None)?;
    server.set_flags(TCB_FLAG_FP)?;
    server.resume()?;
    let client = env.thread(BELOW, fp_client, target(endpoint), None)?;
    client.set_flags(TCB_FLAG_FP)?;
    client.resume()?;
    check!(crate::env::eventually(|| cell(5) == 1));
    check_eq!((cell(2), cell(4)), (0, 0));
    Ok(())
}
