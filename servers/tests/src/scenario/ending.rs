//! Ending, suspending and deleting threads in every state they can be in.

use gritos_sys::abi::Status;
use gritos_sys::abi::method::ThreadState;
use gritos_sys::cap::{Endpoint, Notification, Reply, Tcb};
use gritos_sys::{Cap, Error, Message, Wait, ipc, time};

use super::tests;
use crate::check::{Verdict, check_eq, check_refused};
use crate::env::{ABOVE, BELOW, Entry, Env, add_cell, cell, end, low, pack, set_cell};

tests![
    kill_in_every_state,
    delete_in_every_state,
    suspended_waits_end_with_aborted,
    resume_and_suspend_need_the_right_state,
    a_thread_can_suspend_itself,
    registers_are_read_and_written_while_stopped,
    configuring_needs_a_stopped_thread,
];

/// What the threads of this module wait on: cell 40 holds an endpoint and a
/// Reply, cell 41 an endpoint that nobody serves and a notification.
fn note(result: Result<(), Error>) -> ! {
    set_cell(
        1,
        1000 + result.map_or_else(|e| e.status().map_or(500, |s| s as u64), |()| 0),
    );
    end()
}

extern "C" fn in_send(_: u64) -> ! {
    let call = low::<Endpoint>(cell(41)).call(&Message::new(0), &Wait::FOREVER);
    note(call.map(|_| ()))
}

extern "C" fn in_receive(_: u64) -> ! {
    let reply = Cap::<Reply>::at(gritos_sys::abi::Address((cell(40) >> 32) as u32));
    note(
        low::<Endpoint>(cell(40))
            .recv(Some(reply), &Wait::FOREVER)
            .map(|_| ()),
    )
}

extern "C" fn in_plain_receive(_: u64) -> ! {
    note(
        low::<Endpoint>(cell(40))
            .recv(None, &Wait::FOREVER)
            .map(|_| ()),
    )
}

extern "C" fn in_wait(_: u64) -> ! {
    let bell = Cap::<Notification>::at(gritos_sys::abi::Address((cell(41) >> 32) as u32));
    note(bell.wait(&Wait::FOREVER).map(|_| ()))
}

extern "C" fn in_sleep(_: u64) -> ! {
    note(ipc::sleep_until(time::after(1_000_000_000_000)))
}

extern "C" fn in_timed_receive(_: u64) -> ! {
    let wait = Wait::until(time::after(1_000_000_000_000));
    note(low::<Endpoint>(cell(40)).recv(None, &wait).map(|_| ()))
}

extern "C" fn busy(_: u64) -> ! {
    loop {
        add_cell(2, 1);
    }
}

/// Every way to be stopped: what the thread does, its priority, its state then.
const STATES: [(&str, Entry, u8, ThreadState); 7] = [
    ("send", in_send, ABOVE, ThreadState::BlockedIpcSend),
    ("receive", in_receive, ABOVE, ThreadState::BlockedIpcRecv),
    (
        "plain receive",
        in_plain_receive,
        ABOVE,
        ThreadState::BlockedIpcRecv,
    ),
    (
        "timed receive",
        in_timed_receive,
        ABOVE,
        ThreadState::BlockedIpcRecv,
    ),
    ("wait", in_wait, ABOVE, ThreadState::BlockedNotification),
    ("sleep", in_sleep, ABOVE, ThreadState::BlockedSleep),
    ("ready", busy, BELOW, ThreadState::Ready),
];

struct Objects {
    served: Cap<Endpoint>,
    reply: Cap<Reply>,
    unserved: Cap<Endpoint>,
    bell: Cap<Notification>,
}

impl Objects {
    fn new(env: &mut Env) -> Verdict<Self> {
        let (served, reply) = env.endpoint_and_reply()?;
        let (unserved, bell) = (env.make()?, env.make()?);
        set_cell(40, pack(served, reply));
        set_cell(41, pack(unserved, bell));
        Ok(Self {
            served,
            reply,
            unserved,
            bell,
        })
    }

    /// Passes if no queue of theirs has anybody in it, and the Reply is free.
    fn are_unused(&self) -> Verdict {
        check_refused!(self.served.send(&Message::new(0)), WouldBlock);
        check_refused!(
            self.served.poll(Some(self.reply), &Wait::FOREVER),
            WouldBlock
        );
        check_refused!(
            self.unserved.poll(Some(self.reply), &Wait::FOREVER),
            WouldBlock
        );
        self.bell.signal(1)?;
        check_eq!(self.bell.poll()?, 1);
        Ok(())
    }
}

/// Brings a thread into each state, does `stop` with it, and checks that
/// nothing of it is left.
fn in_every_state(env: &mut Env, stop: fn(&Env, Cap<Tcb>) -> Verdict) -> Verdict {
    let objects = Objects::new(env)?;
    for (_, entry, priority, state) in STATES {
        let thread = env.spawn(priority, entry, 0)?;
        env.expect_state(thread, state)?;
        stop(env, thread)?;
        check_eq!(cell(1), 0);
        objects.are_unused()?;
    }
    // While its call is being served.
    let thread = env.spawn(ABOVE, in_send, 0)?;
    objects.unserved.recv(Some(objects.reply), &Wait::FOREVER)?;
    env.expect_state(thread, ThreadState::BlockedIpcRecv)?;
    stop(env, thread)?;
    check_refused!(objects.reply.reply(&Message::new(0)), ReplySpent);
    check_eq!(cell(1), 0);
    objects.are_unused()
}

fn kill_in_every_state(env: &mut Env) -> Verdict {
    in_every_state(env, |env, thread| {
        thread.kill()?;
        env.expect_state(thread, ThreadState::Terminated)?;
        thread.kill()?;
        check_refused!(thread.suspend(), InvalidState);
        Ok(())
    })
}

fn delete_in_every_state(env: &mut Env) -> Verdict {
    in_every_state(env, |env, thread| {
        env.delete(thread)?;
        check_refused!(thread.info(), EmptySlot);
        Ok(())
    })
}

fn suspended_waits_end_with_aborted(env: &mut Env) -> Verdict {
    let objects = Objects::new(env)?;
    for (name, entry, priority, state) in STATES {
        if state == ThreadState::Ready {
            continue;
        }
        set_cell(1, 0);
        let thread = env.spawn(priority, entry, 0)?;
        thread.suspend()?;
        env.expect_state(thread, ThreadState::Inactive)?;
        check_eq!((name, cell(1)), (name, 0));
        objects.are_unused()?;
        thread.resume()?;
        check_eq!((name, cell(1)), (name, 1000 + Status::Aborted as u64));
    }
    set_cell(1, 0);
    let thread = env.spawn(ABOVE, in_send, 0)?;
    objects.unserved.recv(Some(objects.reply), &Wait::FOREVER)?;
    thread.suspend()?;
    check_refused!(objects.reply.reply(&Message::new(0)), ReplySpent);
    thread.resume()?;
    check_eq!(cell(1), 1000 + Status::Aborted as u64);
    Ok(())
}

fn resume_and_suspend_need_the_right_state(env: &mut Env) -> Verdict {
    let thread = env.spawn(BELOW, busy, 0)?;
    check_refused!(thread.resume(), InvalidState);
    thread.suspend()?;
    thread.suspend()?;
    thread.resume()?;
    env.expect_state(thread, ThreadState::Ready)?;
    env.expect_state(Env::TCB, ThreadState::Running)?;
    check_refused!(Env::TCB.resume(), InvalidState);
    Ok(())
}

/// Suspends itself and then notes that it goes on.
extern "C" fn suspend_self(tcb: u64) -> ! {
    set_cell(1, 1);
    let _ = low::<Tcb>(tcb).suspend();
    set_cell(1, 2);
    end()
}

fn a_thread_can_suspend_itself(env: &mut Env) -> Verdict {
    let thread = env.thread(ABOVE, suspend_self, 0, None)?;
    thread.write_registers(0, [u64::from(thread.address().0)])?;
    thread.resume()?;
    check_eq!(cell(1), 1);
    env.expect_state(thread, ThreadState::Inactive)?;
    thread.resume()?;
    check_eq!(cell(1), 2);
    Ok(())
}

fn registers_are_read_and_written_while_stopped(env: &mut Env) -> Verdict {
    use gritos_sys::abi::method::Register;
    let thread = env.thread(BELOW, busy, 5, None)?;
    let [x0, ..] = thread.read_registers(0, 8)?;
    check_eq!(x0, 5);
    thread.write_registers(24, [1, 2, 3, 4, 5, 6, 7])?;
    check_eq!(thread.read_registers(24, 7)?[..7], [1, 2, 3, 4, 5, 6, 7]);
    let [sp, pc, pstate, pointer, ..] = thread.read_registers(Register::Sp as u64, 4)?;
    check_eq!(pc, busy as Entry as usize as u64);
    check_eq!((sp & 15, pointer), (0, 0));
    // Only the flags of the program status can be set.
    thread.write_registers(Register::Pstate as u64, [u64::MAX])?;
    let [after, ..] = thread.read_registers(Register::Pstate as u64, 1)?;
    check_eq!(after & !0xf000_0000, pstate & !0xf000_0000);
    for (first, count) in [
        (35, 1),
        (34, 2),
        (0, 9),
        (0, 0),
        (u64::MAX, 1),
        (0, u64::MAX),
    ] {
        check_refused!(thread.read_registers(first, count), InvalidArgument);
    }
    check_refused!(thread.write_registers(35, [0]), InvalidArgument);
    check_refused!(thread.write_registers(34, [0, 0]), InvalidArgument);
    thread.write_registers(Register::Pstate as u64, [0])?;
    thread.resume()?;
    check_refused!(thread.write_registers(0, [0]), InvalidState);
    thread.read_registers(0, 1)?;
    Ok(())
}

fn configuring_needs_a_stopped_thread(env: &mut Env) -> Verdict {
    let thread = env.spawn(BELOW, busy, 0)?;
    check_refused!(thread.configure(Some(Env::CNODE), None, None), InvalidState);
    check_refused!(thread.set_flags(0), InvalidState);
    Ok(())
}
