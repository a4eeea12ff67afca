//! The calculator component: it offers the service `calculator`.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use example_calculator::server::Memories;
use example_calculator_api::Calculator;
use gritos_idl_runtime::serve;
use gritos_service::Port;
use gritos_sys::{Error, debug_println};

#[cfg(target_os = "none")]
#[global_allocator]
static HEAP: gritos_sys::heap::Heap = gritos_sys::heap::Heap::new();

gritos_sys::entry!(component);

fn component(_argument: u64) {
    if let Err(error) = run() {
        debug_println!("calculator: {error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    #[cfg(target_os = "none")]
    HEAP.provide_own(8)?;
    let Some(endpoint) = environment.endpoint("calculator") else {
        debug_println!("calculator: the system table must give it a service `calculator`");
        return Ok(());
    };
    let mut port = Port::<4>::new(endpoint, 0)?;
    serve::<Calculator, _, _>(&mut port, &mut Memories::default());
    Ok(())
}
