//! `Session` and `Supervision`.

use gritos_base_api::{
    BaseError, Buffer, BufferAccess, SessionRegisterAnswer, SessionServer, SupervisionServer,
};
use gritos_idl_runtime::object::MemoryObject;
use gritos_idl_runtime::{Caller, Cap, EndpointCap};
use gritos_service::MapMemory;

use super::{Service, Signals};
use crate::frame::{Clock, FrameDevice};

impl<D, C, P, S, const N: usize> SessionServer for Service<D, C, P, S, N>
where
    D: FrameDevice,
    C: Clock,
    P: MapMemory,
    S: Signals,
{
    fn register(
        &mut self,
        caller: Caller,
        memory: Cap<MemoryObject>,
        access: BufferAccess,
    ) -> Result<SessionRegisterAnswer, BaseError> {
        let (buffer, length) =
            self.buffers
                .register(caller.badge, memory, access, self.endpoint)?;
        Ok(SessionRegisterAnswer { buffer, length })
    }

    fn unregister(&mut self, caller: Caller, buffer: EndpointCap<Buffer>) -> Result<(), BaseError> {
        self.buffers.unregister(caller.badge, buffer)
    }

    fn generation(&mut self, _caller: Caller) -> Result<u64, BaseError> {
        Ok(self.generation)
    }
}

impl<D, C, P, S, const N: usize> SupervisionServer for Service<D, C, P, S, N>
where
    D: FrameDevice,
    C: Clock,
    P: MapMemory,
    S: Signals,
{
    fn client_gone(&mut self, _caller: Caller, client: u32) -> Result<u32, BaseError> {
        self.stack.forget_names(|_, owner| owner == client);
        let sockets = self.stack.client_gone(client);
        self.drop_unwatched();
        self.drop_unused_rings();
        Ok(sockets.saturating_add(self.buffers.client_gone(client)))
    }
}
