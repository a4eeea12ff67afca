//! The echo service and its client in one process, without a kernel.

use example_echo::Parrot;
use example_echo_api::{Echo, EchoClient};
use gritos_idl_runtime::loopback::Loopback;
use gritos_idl_runtime::{Address, Cap, Text};

#[test]
fn it_says_what_it_heard() {
    let wire = Loopback::<_, Echo>::new(Parrot);
    let mut client = EchoClient::new(Cap::new(Address::root(1)), wire);
    let text = Text::new("hello").unwrap();
    assert_eq!(client.echo(text), Ok(text));
}
