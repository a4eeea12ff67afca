//! The echo component: it offers the service `echo`.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use example_echo::Parrot;
use example_echo_api::Echo;
use gritos_idl_runtime::serve;
use gritos_service::Port;
use gritos_sys::{Error, debug_println};

gritos_sys::entry!(component);

fn component(_argument: u64) {
    if let Err(error) = run() {
        debug_println!("echo: {error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    let Some(endpoint) = environment.endpoint("echo") else {
        debug_println!("echo: the system table must give it a service `echo`");
        return Ok(());
    };
    let mut port = Port::<1>::new(endpoint, 0)?;
    serve::<Echo, _, _>(&mut port, &mut Parrot);
    Ok(())
}
