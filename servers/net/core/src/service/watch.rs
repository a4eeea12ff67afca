//! Sockets whose readiness somebody wants to be told.

use gritos_idl_runtime::Cap;
use gritos_idl_runtime::object::Notification;
use gritos_net_api::{NetError, Readiness};
use gritos_service::MapMemory;

use super::{Service, Signals};
use crate::frame::{Clock, FrameDevice};
use crate::socket::SocketId;

/// A socket that is watched.
#[derive(Debug)]
pub(super) struct Watch {
    socket: SocketId,
    notification: Cap<Notification>,
    interest: Readiness,
    /// It carries a stream, or waits for some.
    of_stream: bool,
    /// What it was ready for when it was last looked at.
    before: Readiness,
}

impl<D, C, P, S, const N: usize> Service<D, C, P, S, N>
where
    D: FrameDevice,
    C: Clock,
    P: MapMemory,
    S: Signals,
{
    /// Watches a socket, in place of whoever watched it before. What it is ready
    /// for already.
    pub(super) fn set_watch(
        &mut self,
        socket: SocketId,
        notification: Cap<Notification>,
        interest: Readiness,
    ) -> Result<Readiness, NetError> {
        let ready = self.stack.readiness(socket)?;
        let known = self.watches.iter().position(|watch| watch.socket == socket);
        if let Some(known) = known {
            let old = self.watches.swap_remove(known);
            self.signals.release(old.notification);
        }
        if interest.is_empty() {
            return Ok(ready & interest);
        }
        if self.watches.len() >= self.limits.watches {
            return Err(NetError::ServerLimit);
        }
        let of_stream = self.stack.is_stream(socket)?;
        let notification = self.signals.keep(notification).ok_or(NetError::NoMemory)?;
        self.watches.push(Watch {
            socket,
            notification,
            interest,
            of_stream,
            before: ready,
        });
        Ok(ready & interest)
    }

    /// A call has used a socket: what it took counts as news when it comes again, even before the next turn. If it
    /// `took` something and left more, that is news at once: whoever watches need not ask until nothing is left.
    pub(super) fn look_again(&mut self, socket: SocketId, took: bool) {
        let watch = self.watches.iter_mut().find(|watch| watch.socket == socket);
        if let Some(watch) = watch
            && let Ok(ready) = self.stack.readiness(socket)
        {
            watch.before &= ready;
            // Said here, not in a turn: one in which nothing moves looks at no watch.
            let left = ready & watch.interest & Readiness::READABLE;
            if took && !left.is_empty() {
                self.signals
                    .signal(watch.notification, u64::from(left.bits()));
            }
        }
    }

    /// Tells who watches what has become ready.
    pub(super) fn signal_watches(&mut self) {
        let moved = self.stack.has_stream_moved();
        for watch in &mut self.watches {
            if watch.of_stream && !moved || !self.stack.has_news(watch.socket, watch.before) {
                continue;
            }
            let ready = self.stack.readiness(watch.socket);
            let ready = ready.unwrap_or(Readiness::empty());
            let news = ready.difference(watch.before) & watch.interest;
            watch.before = ready;
            if !news.is_empty() {
                self.signals
                    .signal(watch.notification, u64::from(news.bits()));
            }
        }
    }

    /// Forgets watches of sockets that are gone.
    pub(super) fn drop_unwatched(&mut self) {
        let (stack, signals) = (&self.stack, &mut self.signals);
        self.watches.retain(|watch| {
            let stays = stack.owner(watch.socket).is_ok();
            if !stays {
                signals.release(watch.notification);
            }
            stays
        });
    }
}
