//! The service that fails when it is told to.

use gritos_base_api::{
    BaseError, Buffer, BufferAccess, SessionRegisterAnswer, SessionServer, SupervisionServer,
};
use gritos_idl_runtime::object::MemoryObject;
use gritos_idl_runtime::{Address, Caller, Cap, EndpointCap, Grant, Hooks, Rights, serve};
use gritos_service::Port;
use gritos_sys::environment::Environment;
use gritos_sys::{Error, ipc, time};
use gritos_trial_api::{
    Failure, Thing, ThingServer, TrialAskReply, TrialCountReply, TrialError, TrialServer,
    TrialService,
};

use crate::failing::fail;

pub(crate) fn run(environment: &Environment<'_>) -> Result<(), Error> {
    let Some(endpoint) = environment.endpoint("trial") else {
        log::error!("it is to offer the service `trial`");
        return Ok(());
    };
    let mut port = Port::<1>::new(endpoint, 1)?;
    let mut server = Server {
        endpoint: port.endpoint(),
        life: environment.generation(),
        calls: 0,
        things: 0,
    };
    let status = serve::<TrialService, _, _>(&mut port, &mut server);
    log::error!("cannot receive any more: {status:?}");
    Ok(())
}

struct Server {
    endpoint: Address,
    life: u64,
    calls: u64,
    things: u32,
}

impl Server {
    const fn counted(&mut self) -> (u64, u64) {
        self.calls += 1;
        (self.life, self.calls)
    }
}

impl TrialServer for Server {
    fn count(&mut self, _caller: Caller) -> Result<TrialCountReply, TrialError> {
        let (life, number) = self.counted();
        Ok(TrialCountReply { life, number })
    }

    fn ask(&mut self, _caller: Caller) -> Result<TrialAskReply, TrialError> {
        let (life, number) = self.counted();
        Ok(TrialAskReply { life, number })
    }

    fn make(&mut self, _caller: Caller) -> Result<Grant<Thing>, TrialError> {
        self.things += 1;
        Ok(Grant::object(self.endpoint, self.things, Rights::SEND))
    }

    fn fail(
        &mut self,
        _caller: Caller,
        failure: Failure,
        nanoseconds: u64,
        until: u64,
    ) -> Result<u64, TrialError> {
        if self.life < until {
            let _ = ipc::sleep_until(time::after(nanoseconds));
            fail(failure);
        }
        Ok(self.life)
    }

    fn fail_once(
        &mut self,
        caller: Caller,
        failure: Failure,
        until: u64,
    ) -> Result<u64, TrialError> {
        self.fail(caller, failure, 0, until)
    }
}

impl ThingServer for Server {
    fn poke(&mut self, _caller: Caller) -> u64 {
        self.life
    }
}

impl SessionServer for Server {
    fn register(
        &mut self,
        _caller: Caller,
        _memory: Cap<MemoryObject>,
        _access: BufferAccess,
    ) -> Result<SessionRegisterAnswer, BaseError> {
        Err(BaseError::Limit)
    }

    fn unregister(
        &mut self,
        _caller: Caller,
        _buffer: EndpointCap<Buffer>,
    ) -> Result<(), BaseError> {
        Err(BaseError::NotRegistered)
    }

    fn generation(&mut self, _caller: Caller) -> Result<u64, BaseError> {
        Ok(self.life)
    }
}

impl SupervisionServer for Server {
    fn client_gone(&mut self, _caller: Caller, client: u32) -> Result<u32, BaseError> {
        log::info!("client {client:#x} is gone");
        Ok(0)
    }
}

impl<P> Hooks<P> for Server {}
