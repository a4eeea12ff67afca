//! Scripts of random bytes: what the fuzzer of `fuzz/` plays for longer.

use gritos_net_core::Generator;
use gritos_net_core::host::frames::play;

#[test]
fn random_scripts_do_no_harm() {
    let mut random = Generator::new(&mut [9; 32]);
    for _ in 0..60 {
        let length = random.any_u64() % 600;
        let script: Vec<u8> = (0..length).map(|_| random.any_u16() as u8).collect();
        play(&script);
    }
}

/// A handshake, data both ways, and the end, as the fuzzer has to find it.
#[test]
fn a_script_can_be_a_whole_connection() {
    let (syn, ack, data, fin) = (
        [0xe2, 2, 0, 0],
        [0xee, 16, 64, 0],
        [0xee, 24, 64, 99],
        [0xee, 17, 64, 0],
    );
    let (accept, moment) = ([0x21, 0], [10]);
    let send = [0x22, 3];
    let receive = [0x24, 3];
    let script = [
        &syn[..],
        &moment,
        &moment,
        &ack,
        &accept,
        &data,
        &receive,
        &send,
        &ack,
        &fin,
        &ack,
    ];
    let played = play(&script.concat());
    assert_eq!((played.accepted, played.received), (1, 99));
}
