//! The helper that tells servers of dead clients.
//!
//! It asks the root task what to do, does it with a deadline, and asks again.

use gritos_base_api::SupervisionClient;
use gritos_service::idl::Outgoing;
use gritos_service::{Kernel, call_cap};
use gritos_sys::Cap;
use gritos_sys::abi::Address;
use gritos_sys::cap::Endpoint;

use crate::helper::{answer, ask};

/// What the root task answers it: call `endpoint`, `client` is gone.
pub(crate) fn job(endpoint: Cap<Endpoint>, client: u32) -> Outgoing<0> {
    let words = [endpoint.address().0.into(), client.into()];
    answer(0, [words[0], words[1], 0, 0, 0, 0, 0, 0])
}

pub(crate) extern "C" fn run(asks: u64) -> ! {
    let root = Cap::<Endpoint>::at(Address(asks as u32));
    loop {
        let (_, [endpoint, client, ..]) = ask(root, 0, [0; 8]);
        let endpoint = Cap::<Endpoint>::at(Address(endpoint as u32));
        let mut server = SupervisionClient::new(call_cap(endpoint), Kernel);
        // A server that has no sessions does not know the method; one that does
        // not answer in time loses nothing but its own memory.
        let _ = server.client_gone(client as u32);
    }
}
