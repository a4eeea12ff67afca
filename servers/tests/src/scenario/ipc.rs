//! Calls, replies, one-way messages, queues.

use gritos_sys::abi::message::Kind;
use gritos_sys::abi::method::ThreadState;
use gritos_sys::abi::{Rights, Status};
use gritos_sys::cap::{Endpoint, Reply};
use gritos_sys::{Message, Wait};

use super::tests;
use crate::check::{Verdict, check, check_eq, check_refused};
use crate::env::{ABOVE, BELOW, Env, add_cell, cell, end, high, low, pack, pause, set_cell};

tests![
    call_reaches_a_waiting_receiver,
    call_waits_for_a_receiver,
    eight_words_and_tag_arrive_both_ways,
    callers_are_served_in_order,
    receivers_are_served_in_order,
    badge_and_server_rights_arrive,
    a_reply_answers_once,
    replies_can_be_given_out_of_order,
    a_reply_that_owes_cannot_be_armed,
    a_reply_that_is_armed_cannot_be_armed_again,
    a_receive_without_reply_leaves_calls_queued,
    a_dead_client_spends_the_reply,
    a_deleted_reply_wakes_its_caller,
    a_dead_server_leaves_queued_calls_for_the_next,
    a_deleted_endpoint_wakes_queued_callers,
    a_deleted_endpoint_wakes_waiting_receivers,
    one_way_messages_are_delivered_now_or_refused,
    poll_takes_a_queued_call_or_nothing,
    the_server_may_answer_another_first,
    unknown_system_calls_are_refused,
];

/// Serves: answers each call with its words plus one, and the tag doubled.
extern "C" fn increment_server(word: u64) -> ! {
    let (endpoint, reply) = (low::<Endpoint>(word), high::<Reply>(word));
    let mut received = endpoint.recv(Some(reply), &Wait::FOREVER);
    while let Ok(call) = received {
        let words = call.words().map(|word| word + 1);
        let answer = Message::with(call.tag() * 2, words);
        received = endpoint.reply_recv(reply, &answer, &Wait::FOREVER);
    }
    end()
}

/// Calls with the number of this thread and notes the answer, or the status
/// plus 1000, in the cell of that number. The number is the upper half.
extern "C" fn numbered_caller(word: u64) -> ! {
    let (endpoint, number) = (low::<Endpoint>(word), word >> 32);
    let result = endpoint.call(&Message::with(7, [number]), &Wait::FOREVER);
    let noted = match result {
        Ok(answer) => answer.words()[0],
        Err(error) => 1000 + error.status().map_or(500, |status| status as u64),
    };
    set_cell(number as usize, noted);
    end()
}

fn status_cell(status: Status) -> u64 {
    1000 + status as u64
}

fn call_reaches_a_waiting_receiver(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let server = env.spawn(ABOVE, increment_server, pack(endpoint, reply))?;
    env.expect_state(server, ThreadState::BlockedIpcRecv)?;
    let answer = endpoint.call(&Message::with(21, [1, 2]), &Wait::FOREVER)?;
    check_eq!(answer.kind(), Ok(Kind::Reply));
    check_eq!(answer.tag(), 42);
    check_eq!(answer.words()[..3], [2, 3, 1]);
    check_eq!((answer.badge(), answer.rights()), (0, Rights::empty()));
    Ok(())
}

fn call_waits_for_a_receiver(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let caller = env.spawn(
        ABOVE,
        numbered_caller,
        u64::from(endpoint.address().0) | 5 << 32,
    )?;
    env.expect_state(caller, ThreadState::BlockedIpcSend)?;
    let call = endpoint.recv(Some(reply), &Wait::FOREVER)?;
    check_eq!(call.kind(), Ok(Kind::Call));
    check_eq!((call.tag(), call.words()[0], call.word_count()), (7, 5, 1));
    env.expect_state(caller, ThreadState::BlockedIpcRecv)?;
    check_eq!(cell(5), 0);
    reply.reply(&Message::with(0, [99]))?;
    check_eq!(cell(5), 99);
    env.expect_state(caller, ThreadState::Inactive)
}

fn eight_words_and_tag_arrive_both_ways(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    env.spawn(ABOVE, increment_server, pack(endpoint, reply))?;
    let words = core::array::from_fn(|i| 0x1111_2222_3333_0000 * (i as u64 + 1));
    for _ in 0..100 {
        let answer = endpoint.call(&Message::with(1 << 62, words), &Wait::FOREVER)?;
        check_eq!(answer.words(), words.map(|word| word + 1));
        check_eq!((answer.tag(), answer.word_count()), (1 << 63, 8));
    }
    Ok(())
}

fn callers_are_served_in_order(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    for number in 1..=8 {
        env.spawn(
            ABOVE,
            numbered_caller,
            u64::from(endpoint.address().0) | number << 32,
        )?;
    }
    for number in 1..=8 {
        let call = endpoint.recv(Some(reply), &Wait::FOREVER)?;
        check_eq!(call.words()[0], number);
        reply.reply(&Message::with(0, [100 + number]))?;
        check_eq!(cell(number as usize), 100 + number);
    }
    Ok(())
}

/// Receives one message and notes its first word in the next cell, together
/// with the number of this thread.
extern "C" fn numbered_receiver(word: u64) -> ! {
    let (endpoint, number) = (low::<Endpoint>(word), word >> 32);
    if let Ok(received) = endpoint.recv(None, &Wait::FOREVER) {
        let place = add_cell(0, 1) as usize + 1;
        set_cell(place, received.words()[0] * 100 + number);
    }
    end()
}

fn receivers_are_served_in_order(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    for number in 1..=5 {
        env.spawn(
            ABOVE,
            numbered_receiver,
            u64::from(endpoint.address().0) | number << 32,
        )?;
    }
    for number in 1..=5 {
        endpoint.send(&Message::with(0, [number]))?;
        check_eq!(cell(number as usize), number * 100 + number);
    }
    check_refused!(endpoint.send(&Message::new(0)), WouldBlock);
    Ok(())
}

fn badge_and_server_rights_arrive(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let rights = Rights::SEND | Rights::server(0) | Rights::server(9);
    let client = env.mint(endpoint, rights, 0x8000_1234)?;
    env.spawn(
        ABOVE,
        numbered_caller,
        u64::from(client.address().0) | 3 << 32,
    )?;
    let call = endpoint.recv(Some(reply), &Wait::FOREVER)?;
    check_eq!(call.badge(), 0x8000_1234);
    check_eq!(call.rights(), rights);
    reply.reply(&Message::new(0))?;
    // The holder cannot receive with it, nor give itself what it lacks.
    check_refused!(client.poll(None, &Wait::FOREVER), MissingRight);
    let slot = env.slot()?;
    let wider = gritos_sys::Mask::only(rights | Rights::server(1));
    check_refused!(slot.copy(client, wider), RightsNotHeld);
    Ok(())
}

fn a_reply_answers_once(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    check_refused!(reply.reply(&Message::new(0)), ReplySpent);
    env.spawn(
        ABOVE,
        numbered_caller,
        u64::from(endpoint.address().0) | 1 << 32,
    )?;
    endpoint.recv(Some(reply), &Wait::FOREVER)?;
    reply.reply(&Message::with(0, [11]))?;
    check_refused!(reply.reply(&Message::with(0, [12])), ReplySpent);
    check_eq!(cell(1), 11);
    Ok(())
}

fn replies_can_be_given_out_of_order(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let mut replies = [None; 4];
    for (i, reply) in replies.iter_mut().enumerate() {
        let number = i as u64 + 1;
        env.spawn(
            ABOVE,
            numbered_caller,
            u64::from(endpoint.address().0) | number << 32,
        )?;
        *reply = Some(env.make::<Reply>()?);
        let call = endpoint.recv(*reply, &Wait::FOREVER)?;
        check_eq!(call.words()[0], number);
    }
    for i in [2, 0, 3, 1] {
        let Some(Some(reply)) = replies.get(i) else {
            continue;
        };
        let number = i + 1;
        check_eq!(cell(number), 0);
        reply.reply(&Message::with(0, [200 + number as u64]))?;
        check_eq!(cell(number), 200 + number as u64);
    }
    Ok(())
}

fn a_reply_that_owes_cannot_be_armed(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    for number in 1..=2 {
        env.spawn(
            ABOVE,
            numbered_caller,
            u64::from(endpoint.address().0) | number << 32,
        )?;
    }
    endpoint.recv(Some(reply), &Wait::FOREVER)?;
    check_refused!(endpoint.recv(Some(reply), &Wait::FOREVER), ReplyInUse);
    check_refused!(endpoint.poll(Some(reply), &Wait::FOREVER), ReplyInUse);
    // Neither caller noticed.
    check_eq!((cell(1), cell(2)), (0, 0));
    let second = endpoint.reply_recv(reply, &Message::with(0, [31]), &Wait::FOREVER)?;
    check_eq!((cell(1), second.words()[0]), (31, 2));
    reply.reply(&Message::with(0, [32]))?;
    check_eq!(cell(2), 32);
    Ok(())
}

fn a_reply_that_is_armed_cannot_be_armed_again(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    env.spawn(ABOVE, increment_server, pack(endpoint, reply))?;
    check_refused!(endpoint.recv(Some(reply), &Wait::FOREVER), ReplyInUse);
    check_refused!(reply.reply(&Message::new(0)), ReplySpent);
    let answer = endpoint.call(&Message::with(1, [1]), &Wait::FOREVER)?;
    check_eq!(answer.words()[0], 2);
    Ok(())
}

fn a_receive_without_reply_leaves_calls_queued(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let caller = env.spawn(
        ABOVE,
        numbered_caller,
        u64::from(endpoint.address().0) | 1 << 32,
    )?;
    check_refused!(endpoint.poll(None, &Wait::FOREVER), WouldBlock);
    env.expect_state(caller, ThreadState::BlockedIpcSend)?;
    endpoint.recv(Some(reply), &Wait::FOREVER)?;
    reply.reply(&Message::with(0, [1]))?;
    check_eq!(cell(1), 1);
    Ok(())
}

fn a_dead_client_spends_the_reply(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let client = env.spawn(
        ABOVE,
        numbered_caller,
        u64::from(endpoint.address().0) | 1 << 32,
    )?;
    endpoint.recv(Some(reply), &Wait::FOREVER)?;
    client.kill()?;
    env.expect_state(client, ThreadState::Terminated)?;
    check_refused!(reply.reply(&Message::with(0, [1])), ReplySpent);
    check_refused!(client.resume(), InvalidState);
    check_eq!(cell(1), 0);
    // The Reply serves the next caller.
    env.spawn(
        ABOVE,
        numbered_caller,
        u64::from(endpoint.address().0) | 2 << 32,
    )?;
    endpoint.recv(Some(reply), &Wait::FOREVER)?;
    reply.reply(&Message::with(0, [2]))?;
    check_eq!(cell(2), 2);
    Ok(())
}

fn a_deleted_reply_wakes_its_caller(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    env.spawn(
        ABOVE,
        numbered_caller,
        u64::from(endpoint.address().0) | 1 << 32,
    )?;
    endpoint.recv(Some(reply), &Wait::FOREVER)?;
    env.delete(reply)?;
    check_eq!(cell(1), status_cell(Status::ServerDied));
    Ok(())
}

fn a_dead_server_leaves_queued_calls_for_the_next(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let server = env.thread(BELOW, increment_server, pack(endpoint, reply), None)?;
    let caller = env.spawn(
        ABOVE,
        numbered_caller,
        u64::from(endpoint.address().0) | 1 << 32,
    )?;
    server.kill()?;
    env.expect_state(caller, ThreadState::BlockedIpcSend)?;
    let next = env.make::<Reply>()?;
    env.spawn(ABOVE, increment_server, pack(endpoint, next))?;
    check_eq!(cell(1), 2);
    Ok(())
}

fn a_deleted_endpoint_wakes_queued_callers(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let copy = env.copy(endpoint, Rights::SEND)?;
    for number in 1..=3 {
        env.spawn(
            ABOVE,
            numbered_caller,
            u64::from(copy.address().0) | number << 32,
        )?;
    }
    env.delete(copy)?;
    check_eq!(cell(1), 0);
    env.delete(endpoint)?;
    for number in 1..=3 {
        check_eq!(cell(number), status_cell(Status::Deleted));
    }
    Ok(())
}

/// Receives once and notes the status plus 1000.
extern "C" fn receive_and_note(word: u64) -> ! {
    let (endpoint, reply) = (low::<Endpoint>(word), high::<Reply>(word));
    let result = endpoint.recv(Some(reply), &Wait::FOREVER);
    let noted = result.map_or_else(
        |error| 1000 + error.status().map_or(500, |status| status as u64),
        |_| 1,
    );
    add_cell(10, noted);
    end()
}

fn a_deleted_endpoint_wakes_waiting_receivers(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let other = env.make::<Reply>()?;
    env.spawn(ABOVE, receive_and_note, pack(endpoint, reply))?;
    env.spawn(ABOVE, receive_and_note, pack(endpoint, other))?;
    env.delete(endpoint)?;
    check_eq!(cell(10), 2 * status_cell(Status::Deleted));
    // Both Replies are free again.
    let endpoint = env.make::<Endpoint>()?;
    check_refused!(endpoint.poll(Some(reply), &Wait::FOREVER), WouldBlock);
    check_refused!(endpoint.poll(Some(other), &Wait::FOREVER), WouldBlock);
    Ok(())
}

fn one_way_messages_are_delivered_now_or_refused(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    check_refused!(endpoint.send(&Message::with(1, [1])), WouldBlock);
    env.spawn(
        ABOVE,
        numbered_receiver,
        u64::from(endpoint.address().0) | 1 << 32,
    )?;
    endpoint.send(&Message::with(1, [4]))?;
    check_eq!(cell(1), 401);
    // A receiver with a Reply takes one-way messages too, and keeps the Reply.
    let reply = env.make::<Reply>()?;
    env.spawn(ABOVE, receive_and_note, pack(endpoint, reply))?;
    endpoint.send(&Message::new(0))?;
    check_eq!(cell(10), 1);
    check_refused!(reply.reply(&Message::new(0)), ReplySpent);
    check_refused!(endpoint.poll(Some(reply), &Wait::FOREVER), WouldBlock);
    Ok(())
}

fn poll_takes_a_queued_call_or_nothing(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    check_refused!(endpoint.poll(Some(reply), &Wait::FOREVER), WouldBlock);
    env.spawn(
        ABOVE,
        numbered_caller,
        u64::from(endpoint.address().0) | 1 << 32,
    )?;
    let call = endpoint.poll(Some(reply), &Wait::FOREVER)?;
    check!(call.is(Kind::Call));
    reply.reply(&Message::with(0, [8]))?;
    check_eq!(cell(1), 8);
    Ok(())
}

fn the_server_may_answer_another_first(env: &mut Env) -> Verdict {
    // ReplyRecv with one Reply while another still owes.
    let (endpoint, first) = env.endpoint_and_reply()?;
    let second = env.make::<Reply>()?;
    for number in 1..=3 {
        env.spawn(
            ABOVE,
            numbered_caller,
            u64::from(endpoint.address().0) | number << 32,
        )?;
    }
    endpoint.recv(Some(first), &Wait::FOREVER)?;
    endpoint.recv(Some(second), &Wait::FOREVER)?;
    let third = endpoint.reply_recv(second, &Message::with(0, [52]), &Wait::FOREVER)?;
    check_eq!((third.words()[0], cell(1), cell(2)), (3, 0, 52));
    first.reply(&Message::with(0, [51]))?;
    second.reply(&Message::with(0, [53]))?;
    check_eq!((cell(1), cell(3)), (51, 53));
    pause(1000);
    Ok(())
}

fn unknown_system_calls_are_refused(_: &mut Env) -> Verdict {
    use gritos_sys::raw::Request;
    use gritos_sys::svc::Svc;
    let refused = gritos_sys::abi::Outcome::error(Status::InvalidSyscall);
    for returned in [
        Svc::trap::<8>(Request::default()),
        Svc::trap::<9>(Request::default()),
        Svc::trap::<0x8000>(Request::default()),
        Svc::trap::<0xffff>(Request::default()),
    ] {
        check_eq!(returned.outcome, refused);
    }
    Ok(())
}
