//! A client of the network service that lends a socket of its own.

use gritos_base_api::{
    BaseError, Buffer, BufferAccess, SessionRegisterAnswer, SessionServer, SupervisionServer,
};
use gritos_idl_runtime::object::MemoryObject;
use gritos_idl_runtime::{Caller, Cap, EndpointCap, Grant, Hooks, Rights, serve};
use gritos_lend_api::{LendError, LendServer, LendService};
use gritos_net_client::api::{Domain, IpProtocol, Socket, SocketClient, SocketType, SocketsClient};
use gritos_service::{Port, call_cap, release};
use gritos_sys::Error;
use gritos_sys::environment::Environment;

use crate::patient::Patient;

pub(crate) fn run(environment: &Environment<'_>) -> Result<(), Error> {
    let (Some(endpoint), Some(net)) = (environment.endpoint("lend"), environment.service("net"))
    else {
        log::error!("it is to offer the service `lend`, and to use `net`");
        return Ok(());
    };
    let mut port = Port::<1>::new(endpoint, 1)?;
    let mut server = Server {
        net: SocketsClient::new(call_cap(net), Patient::LONG),
        lent: None,
        life: environment.generation(),
    };
    let status = serve::<LendService, _, _>(&mut port, &mut server);
    log::error!("cannot receive any more: {status:?}");
    Ok(())
}

struct Server {
    net: SocketsClient<Patient>,
    lent: Option<Cap<Socket>>,
    life: u64,
}

impl LendServer for Server {
    fn lend(&mut self, caller: Caller) -> Result<Grant<Socket>, LendError> {
        self.take_back(caller)?;
        let socket = self
            .net
            .socket(Domain::Inet, SocketType::Datagram, IpProtocol::Any)
            .map_err(|_| LendError::NoSocket)?;
        self.lent = Some(socket);
        Ok(Grant::held(socket, Rights::SEND | Socket::RECEIVE_DATA))
    }

    fn take_back(&mut self, _caller: Caller) -> Result<(), LendError> {
        if let Some(socket) = self.lent.take() {
            // If the service was started anew the socket is gone already.
            let _ = SocketClient::new(socket, Patient::LONG).close();
            let _ = release(socket.address());
        }
        Ok(())
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
    fn client_gone(&mut self, _caller: Caller, _client: u32) -> Result<u32, BaseError> {
        Ok(0)
    }
}

impl<P> Hooks<P> for Server {}
