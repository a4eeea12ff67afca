//! The server's loop: who is answered, when, and with what.

use example_calculator::port::{Script, Writer};
use example_calculator::server::Memories;
use example_calculator_api::{Calculator, CalculatorClient, Operation};
use gritos_idl_runtime::{
    Address, Answer, CapSlot, Dispatch, Hooks, Incoming, Kind, Outcome, Outgoing, Rights,
    ServerPort, Status, Ticket, WireError, serve,
};

const CLIENT: u32 = 0x8000_0001;

fn client(port: &mut Script) -> CalculatorClient<Writer<'_>> {
    CalculatorClient::new(
        gritos_idl_runtime::Cap::new(Address::root(1)),
        port.client(CLIENT, Rights::SEND),
    )
}

fn results(port: &Script) -> Vec<(u32, u64)> {
    port.replies()
        .iter()
        .map(|reply| (reply.caller, reply.tag))
        .collect()
}

#[test]
fn each_caller_gets_one_answer_and_oneway_messages_get_none() {
    let mut port = Script::new(4);
    let _ = client(&mut port).calculate(1, 2, Operation::Add);
    let _ = client(&mut port).clear();
    let _ = client(&mut port).calculate(1, 0, Operation::Divide);
    let _ = client(&mut port).memory();
    let status = serve::<Calculator, _, _>(&mut port, &mut Memories::default());
    assert_eq!(
        status,
        Status::Deleted,
        "the loop ends when the endpoint is gone"
    );
    assert_eq!(results(&port), [(0, 0), (2, 1), (3, 0)]);
    assert_eq!(port.replies()[2].words[0], 0, "cleared");
}

#[test]
fn a_refused_message_is_answered_and_its_capabilities_are_deleted() {
    let mut port = Script::new(4);
    let unknown = Incoming {
        tag: 999,
        outcome: Outcome::message(Kind::Call, 0, 1),
        ..Incoming::failed(Status::Ok)
    };
    port.push(unknown);
    port.push(Incoming {
        outcome: Outcome::message(Kind::OneWay, 0, 1),
        ..unknown
    });
    let _ = client(&mut port).memory();
    serve::<Calculator, _, _>(&mut port, &mut Memories::default());
    assert_eq!(
        results(&port),
        [(0, WireError::UnknownMethod.tag()), (2, 0)]
    );
    assert_eq!(port.discarded, 2);
}

#[test]
fn waiting_callers_do_not_block_others_and_the_last_reply_is_not_kept() {
    let mut port = Script::new(2);
    let _ = client(&mut port).wait_for(10);
    let _ = client(&mut port).wait_for(20);
    let _ = client(&mut port).calculate(4, 5, Operation::Multiply);
    serve::<Calculator, _, _>(&mut port, &mut Memories::default());
    assert_eq!(results(&port), [(1, WireError::Busy.tag()), (0, 0), (2, 0)]);
}

#[test]
fn faults_and_passing_failures_do_not_end_the_loop() {
    let mut port = Script::new(2);
    port.push(Incoming::failed(Status::Aborted));
    port.push(Incoming {
        outcome: Outcome::message(Kind::Fault, 4, 0),
        ..Incoming::failed(Status::Ok)
    });
    port.push(Incoming {
        words: [5; 8],
        outcome: Outcome::message(Kind::Notification, 1, 0),
        ..Incoming::failed(Status::Ok)
    });
    let _ = client(&mut port).memory();
    serve::<Calculator, _, _>(&mut port, &mut Memories::default());
    assert_eq!(results(&port), [(3, 0)]);
}

/// Answers everything with a capability, and counts notifications.
#[derive(Default)]
struct Giver {
    bits: u64,
    turns: u32,
    kept: Option<Ticket>,
}

enum Give {}

impl Dispatch<Giver> for Give {
    fn dispatch(
        server: &mut Giver,
        incoming: &Incoming,
        ticket: impl FnOnce() -> Option<Ticket>,
    ) -> Answer {
        if incoming.tag == 1 {
            server.kept = ticket();
            return Answer::Kept;
        }
        Answer::Caps(Outgoing::with_caps(0, [9; 8], 1, [CapSlot::default(); 4]))
    }
}

impl<P: ServerPort> Hooks<P> for Giver {
    fn turn(&mut self, _: &mut P) {
        self.turns += 1;
    }

    fn notified(&mut self, port: &mut P, bits: u64) {
        self.bits |= bits;
        let answer = Answer::Caps(Outgoing::with_caps(0, [9; 8], 1, [CapSlot::default(); 4]));
        if let Some(ticket) = self.kept.take() {
            assert_eq!(answer.deliver(port, ticket), Err(Status::ReceiverWindow));
        }
    }
}

#[test]
fn a_wait_that_ends_at_its_deadline_is_a_turn_too() {
    let mut port = Script::new(2);
    port.push(Incoming::failed(Status::TimedOut));
    port.push(Incoming::failed(Status::TimedOut));
    let mut giver = Giver::default();
    assert_eq!(serve::<Give, _, _>(&mut port, &mut giver), Status::Deleted);
    assert_eq!(giver.turns, 2);
}

#[test]
fn an_answer_whose_capabilities_are_refused_becomes_an_error() {
    let mut port = Script::new(4);
    port.refuses_caps = true;
    let message = |kind, tag| Incoming {
        words: [6; 8],
        tag,
        outcome: Outcome::message(kind, 1, 0),
        ..Incoming::failed(Status::Ok)
    };
    port.push(message(Kind::Call, 0));
    port.push(message(Kind::Call, 1));
    port.push(message(Kind::Notification, 0));
    port.push(message(Kind::Call, 0));
    let mut giver = Giver::default();
    serve::<Give, _, _>(&mut port, &mut giver);
    let refused = WireError::CapsRefused.tag();
    assert_eq!(results(&port), [(0, refused), (1, refused), (3, refused)]);
    assert!(port.replies().iter().all(|reply| reply.caps.is_empty()));
    assert_eq!(giver.bits, 6);
}
