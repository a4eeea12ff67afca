//! The server: `time.gidl` over [`Timers`] and a [`Clock`].

use alloc::vec::Vec;

use gritos_base_api::{
    BaseError, Buffer, BufferAccess, SessionRegisterAnswer, SessionServer, SupervisionServer,
};
use gritos_idl_runtime::object::{MemoryObject, Notification};
use gritos_idl_runtime::{Caller, Cap, EndpointCap, Hooks};
use gritos_service::{Port, Setting, SettingError, read_settings};
use gritos_time_api::{
    CLIENT_CHANNELS, CLIENT_TIMERS, MIN_PERIOD_NS, TimeCountReply, TimeError, TimeServer,
};

use crate::clock::Clock;
use crate::timers::{Timer, Timers};

/// Most clients.
pub const CLIENT_LIMIT: usize = 64;
/// Most timers of all clients, unless the system's description says otherwise.
pub const ALL_TIMERS: u32 = 8192;
/// Most timers of one client or of all that a description can allow.
const TIMER_LIMIT: u32 = 1 << 20;
/// Channels of one client.
const CHANNELS: usize = CLIENT_CHANNELS as usize;
/// Timers that one turn fires or forgets at most; the next goes on at once.
const STEPS: usize = 32;

/// How many timers there may be. Memory for them is taken as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one client.
    pub client_timers: u32,
    /// Of all clients.
    pub all_timers: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            client_timers: CLIENT_TIMERS,
            all_timers: ALL_TIMERS,
        }
    }
}

impl Limits {
    /// Takes what the component's `arguments` set: `client-timers` and `all-timers`.
    ///
    /// # Errors
    /// The first line that is wrong; those before it count.
    pub fn read(&mut self, arguments: &str) -> Result<(), SettingError> {
        read_settings(
            arguments,
            &mut [
                Setting {
                    name: "client-timers",
                    range: 1..=TIMER_LIMIT,
                    value: &mut self.client_timers,
                },
                Setting {
                    name: "all-timers",
                    range: 1..=TIMER_LIMIT,
                    value: &mut self.all_timers,
                },
            ],
        )
    }
}

/// What the service needs of the system that it runs in.
pub trait Outside {
    /// Nanoseconds since the machine started.
    fn now(&self) -> u64;

    /// Seconds since 1970 as the hardware clock has them, if there is one.
    fn hardware_clock(&mut self) -> Option<u64>;

    /// Sets the hardware clock, if there is one.
    fn set_hardware_clock(&mut self, seconds: u64);

    /// Signals `bits`.
    fn signal(&mut self, notification: Cap<Notification>, bits: u64);

    /// Keeps a capability that arrived with the current message. Where it is kept; `None` if there is no place.
    fn keep(&mut self, notification: Cap<Notification>) -> Option<Cap<Notification>>;

    /// Deletes a capability that was kept.
    fn delete(&mut self, notification: Cap<Notification>);
}

/// One channel of a client. Its index among all is what its timers belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Free,
    Open(Cap<Notification>),
    /// Closed; its timers are being forgotten.
    Closing,
}

#[derive(Clone, Copy, Debug)]
struct Client {
    /// Badge; 0 for a free place.
    badge: u32,
    timers: u32,
    channels: [Channel; CHANNELS],
}

impl Client {
    const FREE: Self = Self {
        badge: 0,
        timers: 0,
        channels: [Channel::Free; CHANNELS],
    };

    fn is_idle(&self) -> bool {
        self.timers == 0 && self.channels == [Channel::Free; CHANNELS]
    }
}

/// The time service.
#[derive(Debug)]
pub struct Service<O> {
    outside: O,
    clock: Clock,
    timers: Timers,
    clients: Vec<Client>,
    /// Indices of channels that are closing.
    closing: Vec<u32>,
    client_timers: u32,
    life: u64,
}

impl<O: Outside> Service<O> {
    /// A service that was started `life` times before.
    pub fn new(mut outside: O, life: u64, limits: Limits) -> Self {
        let seconds = outside.hardware_clock();
        let clock = Clock::from_hardware(seconds, outside.now());
        Self {
            clock,
            outside,
            timers: Timers::new(CLIENT_LIMIT * CHANNELS, limits.all_timers as usize),
            client_timers: limits.client_timers,
            clients: alloc::vec![Client::FREE; CLIENT_LIMIT],
            closing: Vec::with_capacity(CLIENT_LIMIT * CHANNELS),
            life,
        }
    }

    /// The time of day, if it is known.
    #[must_use]
    pub fn time_of_day(&self) -> Option<u64> {
        self.clock.at(self.outside.now())
    }

    /// Fires what is due and forgets what was closed: a bounded number of both. When it is to be called again without a
    /// message, in nanoseconds.
    pub fn turn(&mut self) -> Option<u64> {
        let now = self.outside.now();
        for _ in 0..STEPS {
            let Some(timer) = self.timers.fire(now) else {
                break;
            };
            if timer.period == 0 {
                self.forget_one(timer.owner);
            }
            if let Some(Channel::Open(notification)) = self.channel(timer.owner).copied() {
                self.outside.signal(notification, timer.bits);
            }
        }
        for _ in 0..STEPS {
            let Some(&channel) = self.closing.last() else {
                break;
            };
            if self.timers.cancel_any(channel).is_some() {
                self.forget_one(channel);
                continue;
            }
            self.closing.pop();
            if let Some(place) = self.channel(channel) {
                *place = Channel::Free;
            }
            self.leave(channel);
        }
        if self.closing.is_empty() {
            self.timers.due()
        } else {
            Some(0)
        }
    }

    fn channel(&mut self, index: u32) -> Option<&mut Channel> {
        let (client, channel) = (index as usize / CHANNELS, index as usize % CHANNELS);
        self.clients.get_mut(client)?.channels.get_mut(channel)
    }

    /// A timer of a channel is no more.
    fn forget_one(&mut self, channel: u32) {
        if let Some(client) = self.clients.get_mut(channel as usize / CHANNELS) {
            client.timers = client.timers.saturating_sub(1);
        }
        self.leave(channel);
    }

    /// Frees the place of a client that has nothing any more.
    fn leave(&mut self, channel: u32) {
        if let Some(client) = self.clients.get_mut(channel as usize / CHANNELS)
            && client.is_idle()
        {
            client.badge = 0;
        }
    }

    fn client(&self, badge: u32) -> Option<usize> {
        self.clients.iter().position(|client| client.badge == badge)
    }

    /// Index among all channels of the caller's `channel`, which is open.
    fn open(&mut self, caller: Caller, channel: u32) -> Result<u32, TimeError> {
        let client = self.client(caller.badge).ok_or(TimeError::Invalid)?;
        if channel as usize >= CHANNELS {
            return Err(TimeError::Invalid);
        }
        let index = (client * CHANNELS) as u32 + channel;
        match self.channel(index) {
            Some(Channel::Open(_)) => Ok(index),
            _ => Err(TimeError::Invalid),
        }
    }

    fn start(
        &mut self,
        caller: Caller,
        channel: u32,
        at: u64,
        period: u64,
        bits: u64,
    ) -> Result<u64, TimeError> {
        let owner = self.open(caller, channel)?;
        if bits == 0 {
            return Err(TimeError::Invalid);
        }
        let client = self
            .clients
            .get_mut(owner as usize / CHANNELS)
            .filter(|client| client.timers < self.client_timers)
            .ok_or(TimeError::Limit)?;
        let timer = Timer {
            at,
            period,
            bits,
            owner,
        };
        let number = self.timers.start(timer).ok_or(TimeError::NoMemory)?;
        client.timers += 1;
        Ok(number)
    }

    /// Closes an open channel: how many timers it had is not known before they are forgotten.
    fn close(&mut self, index: u32) {
        if let Some(place) = self.channel(index)
            && let Channel::Open(notification) = *place
        {
            *place = Channel::Closing;
            self.closing.push(index);
            self.outside.delete(notification);
        }
    }
}

impl<O: Outside> TimeServer for Service<O> {
    fn monotonic(&mut self, _caller: Caller) -> Result<u64, TimeError> {
        Ok(self.outside.now())
    }

    fn wall_clock(&mut self, _caller: Caller) -> Result<u64, TimeError> {
        self.time_of_day().ok_or(TimeError::NotSet)
    }

    fn set_wall_clock(&mut self, _caller: Caller, nanoseconds: u64) -> Result<(), TimeError> {
        if !self.clock.set(nanoseconds, self.outside.now()) {
            return Err(TimeError::Invalid);
        }
        self.outside.set_hardware_clock(nanoseconds / 1_000_000_000);
        Ok(())
    }

    fn open_channel(
        &mut self,
        caller: Caller,
        notification: Cap<Notification>,
    ) -> Result<u32, TimeError> {
        let client = self.client(caller.badge).or_else(|| self.client(0));
        let index = client.ok_or(TimeError::Limit)?;
        let client = self.clients.get_mut(index).ok_or(TimeError::Limit)?;
        let place = (0_u32..)
            .zip(&mut client.channels)
            .find(|(_, channel)| **channel == Channel::Free);
        let (number, place) = place.ok_or(TimeError::Limit)?;
        let kept = self.outside.keep(notification).ok_or(TimeError::NoMemory)?;
        *place = Channel::Open(kept);
        client.badge = caller.badge;
        Ok(number)
    }

    fn close_channel(&mut self, caller: Caller, channel: u32) -> Result<(), TimeError> {
        let index = self.open(caller, channel)?;
        self.close(index);
        Ok(())
    }

    fn one_shot(
        &mut self,
        caller: Caller,
        channel: u32,
        at: u64,
        bits: u64,
    ) -> Result<u64, TimeError> {
        self.start(caller, channel, at, 0, bits)
    }

    fn periodic(
        &mut self,
        caller: Caller,
        channel: u32,
        first: u64,
        period: u64,
        bits: u64,
    ) -> Result<u64, TimeError> {
        if period < MIN_PERIOD_NS {
            return Err(TimeError::Invalid);
        }
        self.start(caller, channel, first, period, bits)
    }

    fn cancel(&mut self, caller: Caller, timer: u64) -> Result<(), TimeError> {
        let client = self.client(caller.badge).ok_or(TimeError::NotFound)?;
        let found = self.timers.get(timer).ok_or(TimeError::NotFound)?;
        let channel = self.channel(found.owner).copied();
        let is_open = matches!(channel, Some(Channel::Open(_)));
        if found.owner as usize / CHANNELS != client || !is_open {
            return Err(TimeError::NotFound);
        }
        self.timers.cancel(timer).ok_or(TimeError::NotFound)?;
        self.forget_one(found.owner);
        Ok(())
    }

    fn count(&mut self, caller: Caller) -> Result<TimeCountReply, TimeError> {
        let client = self
            .client(caller.badge)
            .and_then(|at| self.clients.get(at));
        Ok(TimeCountReply {
            own: client.map_or(0, |client| client.timers),
            all: self.timers.len() as u32,
        })
    }
}

impl<O: Outside> SessionServer for Service<O> {
    /// Everything travels in messages: the service takes no buffers.
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

impl<O: Outside> SupervisionServer for Service<O> {
    fn client_gone(&mut self, _caller: Caller, client: u32) -> Result<u32, BaseError> {
        let Some(index) = self.client(client) else {
            return Ok(0);
        };
        let first = (index * CHANNELS) as u32;
        let timers = self.clients.get(index).map_or(0, |client| client.timers);
        for channel in first..first + CLIENT_CHANNELS {
            self.close(channel);
        }
        // Its next life comes with the same badge and gets a place of its own.
        if let Some(client) = self
            .clients
            .get_mut(index)
            .filter(|client| !client.is_idle())
        {
            client.badge = GONE;
        }
        Ok(timers)
    }
}

/// Badge of a client that is gone and whose timers are being forgotten: no session has it.
const GONE: u32 = 1;

impl<O: Outside, const N: usize> Hooks<Port<N>> for Service<O> {
    fn turn(&mut self, port: &mut Port<N>) {
        let deadline = Self::turn(self);
        port.set_deadline(deadline.map(gritos_sys::time::ticks));
    }
}

#[cfg(test)]
mod tests;
