//! The answers of a driver without a device.

use gritos_base_api::{BaseError, SupervisionServer};
use gritos_block_api::{BlockDeviceAttachAnswer, BlockDeviceServer, BlockError, Geometry};
use gritos_idl_runtime::object::Notification;
use gritos_idl_runtime::{Caller, Cap, Hooks};

/// A server that has no disk and says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Absent;

impl BlockDeviceServer for Absent {
    fn geometry(&mut self, _: Caller) -> Result<Geometry, BlockError> {
        Err(BlockError::Io)
    }

    fn attach(
        &mut self,
        _: Caller,
        _: u32,
        _: u32,
        _: Cap<Notification>,
    ) -> Result<BlockDeviceAttachAnswer, BlockError> {
        Err(BlockError::Io)
    }

    fn detach(&mut self, _: Caller) -> Result<(), BlockError> {
        Err(BlockError::NotAttached)
    }
}

impl SupervisionServer for Absent {
    fn client_gone(&mut self, _: Caller, _: u32) -> Result<u32, BaseError> {
        Ok(0)
    }
}

impl<P> Hooks<P> for Absent {}
