//! The echo service with its client, in one process.
//!
//! `cargo run -p example-echo`

use example_echo_api::{Echo, EchoClient, EchoServer};
use gritos_idl_runtime::loopback::Loopback;
use gritos_idl_runtime::{Address, Caller, Cap, Text};

struct Parrot;

impl EchoServer for Parrot {
    fn echo(&mut self, _caller: Caller, text: Text<55>) -> Text<55> {
        text
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wire = Loopback::<_, Echo>::new(Parrot);
    let mut client = EchoClient::new(Cap::new(Address::root(1)), wire);
    let heard = client.echo(Text::new("hello")?)?;
    println!("{heard}");
    assert_eq!(heard.as_str(), "hello");
    Ok(())
}
