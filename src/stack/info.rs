//! What can be asked of a socket, and its options.

use super::{
    SocketId, SocketSettings, Stack,
    sockets::{Body, Entry, Phase},
};
use crate::{
    addr::Endpoint,
    error::{Error, Result},
    ready::Ready,
    tcp::{self, BufferSize, Connection, Knobs, State},
    time::Instant,
};

impl Stack {
    /// Present readiness; `ERR|HUP` for an id that names nothing.
    pub fn ready(&self, id: SocketId) -> Ready {
        let Ok(entry) = self.sockets.owned(id) else { return Ready::ERR | Ready::HUP };
        let ready = match &entry.body {
            // Linux's tcp_poll: a closed socket is hung up, and nothing keeps it from "writing".
            Body::Idle(_) => Ready::OUT | Ready::WRNORM | Ready::HUP,
            Body::Listener(listener) => listener.ready(),
            Body::Connection(connection) => connection.ready(),
            Body::Datagram(socket) => socket.ready(),
        };
        let down = Ready::ERR | Ready::HUP | Ready::IN | Ready::OUT;
        ready | if entry.is_down || entry.error.is_some() { down } else { Ready::NONE }
    }

    /// getsockname(2): unspecified address and port 0 while unbound.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn local_endpoint(&self, id: SocketId) -> Result<Endpoint> {
        Ok(self.sockets.owned(id)?.local)
    }

    /// getpeername(2).
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn remote_endpoint(&self, id: SocketId) -> Result<Endpoint> {
        match &self.sockets.owned(id)?.body {
            Body::Datagram(socket) => socket.remote.ok_or(Error::NotConnected),
            Body::Connection(connection) => match connection.state() {
                State::Closed | State::SynSent => Err(Error::NotConnected),
                _ => Ok(connection.flow().remote),
            },
            Body::Idle(_) | Body::Listener(_) => Err(Error::NotConnected),
        }
    }

    /// Takes the pending error (SO_ERROR).
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn take_error(&mut self, id: SocketId) -> Result<Option<Error>> {
        let entry = self.sockets.owned_mut(id)?;
        let own = entry.error.take();
        Ok(own.or_else(|| match &mut entry.body {
            Body::Connection(connection) => connection.take_error(),
            Body::Datagram(socket) => socket.take_error(),
            Body::Idle(_) | Body::Listener(_) => None,
        }))
    }

    /// Puts an error back that [`Stack::take_error`] or a call took, for the next call.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn keep_error(&mut self, id: SocketId, error: Error) -> Result<()> {
        match &mut self.sockets.owned_mut(id)?.body {
            Body::Connection(connection) => connection.keep_error(error),
            Body::Datagram(socket) => socket.on_error(error),
            Body::Idle(_) | Body::Listener(_) => {}
        }
        Ok(())
    }

    /// State of a TCP socket ([`tcp::State::Closed`] for others and before connect or listen).
    pub fn state(&self, id: SocketId) -> State {
        match self.sockets.owned(id).map(|entry| &entry.body) {
            Ok(Body::Connection(connection)) => connection.state(),
            Ok(Body::Listener(_)) => State::Listen,
            _ => State::Closed,
        }
    }

    /// SIOCINQ: bytes to be read (TCP), or the length of the next datagram.
    ///
    /// # Errors
    /// `Invalid` for a listener.
    pub fn readable(&self, id: SocketId) -> Result<usize> {
        match &self.sockets.owned(id)?.body {
            Body::Connection(connection) => Ok(connection.readable()),
            Body::Datagram(socket) => Ok(socket.readable()),
            Body::Idle(_) => Ok(0),
            Body::Listener(_) => Err(Error::Invalid),
        }
    }

    /// SIOCOUTQ: bytes not yet acknowledged (TCP, our FIN counted) or not yet sent (UDP).
    ///
    /// # Errors
    /// `Invalid` for a listener.
    pub fn unacknowledged(&self, id: SocketId) -> Result<usize> {
        match &self.sockets.owned(id)?.body {
            Body::Connection(connection) => Ok(connection.unacknowledged()),
            Body::Datagram(socket) => Ok(socket.unsent()),
            Body::Idle(_) => Ok(0),
            Body::Listener(_) => Err(Error::Invalid),
        }
    }

    /// SIOCATMARK.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn is_at_mark(&self, id: SocketId) -> Result<bool> {
        Ok(matches!(&self.sockets.owned(id)?.body, Body::Connection(connection) if connection.is_at_mark()))
    }

    /// TCP_INFO.
    ///
    /// # Errors
    /// `NoProtocolOption` for other sockets.
    pub fn tcp_info(&self, id: SocketId, now: Instant) -> Result<tcp::info::Info> {
        match &self.sockets.owned(id)?.body {
            Body::Connection(connection) => Ok(connection.info(now)),
            Body::Idle(_) => Ok(tcp::info::Info { state: State::Closed as u8, ..tcp::info::Info::default() }),
            Body::Listener(listener) => Ok(listener.info()),
            Body::Datagram(_) => Err(Error::NoProtocolOption),
        }
    }

    /// TCP_CC_INFO; `None` if the socket's algorithm tells nothing of itself, or there is none yet.
    ///
    /// # Errors
    /// `NoProtocolOption` for other sockets.
    pub fn tcp_congestion_info(&self, id: SocketId) -> Result<Option<tcp::congestion::bbr::BbrInfo>> {
        match &self.sockets.owned(id)?.body {
            Body::Connection(connection) => Ok(connection.congestion_info()),
            Body::Idle(_) | Body::Listener(_) => Ok(None),
            Body::Datagram(_) => Err(Error::NoProtocolOption),
        }
    }

    /// TCP_MAXSEG as Linux reports it: the present MSS, or the user's before there is a connection.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn mss(&self, id: SocketId) -> Result<u16> {
        /// RFC 9293 section 3.7.1: what holds when nothing was said.
        const DEFAULT: u16 = 536;
        match &self.sockets.owned(id)?.body {
            Body::Connection(connection) if connection.state() != State::Closed => Ok(connection.mss()),
            Body::Connection(connection) => Ok(connection.settings.maxseg.unwrap_or(DEFAULT)),
            Body::Idle(settings) => Ok(settings.maxseg.unwrap_or(DEFAULT)),
            Body::Listener(listener) => Ok(listener.settings.maxseg.unwrap_or(DEFAULT)),
            Body::Datagram(_) => Err(Error::NoProtocolOption),
        }
    }

    /// IP_MTU: the path MTU to the connected peer.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn path_mtu(&self, id: SocketId) -> Result<u32> {
        let entry = self.sockets.owned(id)?;
        let remote = match &entry.body {
            Body::Datagram(socket) => socket.remote,
            Body::Connection(connection) if connection.state() != State::Closed => Some(connection.flow().remote),
            _ => None,
        };
        let (remote, hop) = (remote.ok_or(Error::NotConnected)?, entry.hop.ok_or(Error::NotConnected)?);
        let known = self.net.path_mtus.lookup(remote.addr);
        Ok(known.map_or(hop.path.link_mtu, |known| known.mtu.min(hop.path.link_mtu)))
    }

    /// The values of the options every socket has.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn settings(&mut self, id: SocketId) -> Result<&mut SocketSettings> {
        Ok(&mut self.sockets.owned_mut(id)?.settings)
    }

    /// The values of a TCP socket's options.
    ///
    /// # Errors
    /// `NoProtocolOption` for other sockets.
    pub fn tcp_settings(&mut self, id: SocketId) -> Result<&mut tcp::Settings> {
        match &mut self.sockets.owned_mut(id)?.body {
            Body::Idle(settings) => Ok(settings),
            Body::Listener(listener) => Ok(&mut listener.settings),
            Body::Connection(connection) => Ok(&mut connection.settings),
            Body::Datagram(_) => Err(Error::NoProtocolOption),
        }
    }

    /// SO_SNDBUF and SO_RCVBUF of a stream, bytes. What an application has set is told doubled, as Linux has it: as
    /// much again goes into book-keeping. A buffer that sizes itself is what it is at present, and without a connection
    /// what it is to begin with (net.ipv4.tcp_wmem, tcp_rmem).
    ///
    /// # Errors
    /// `NoProtocolOption` for other sockets.
    pub fn buffer_sizes(&mut self, id: SocketId) -> Result<(usize, usize)> {
        let Knobs { wmem, rmem, .. } = *self.knobs_mut();
        let is_connected = |connection: &Connection| connection.state() != State::Closed;
        let present = match &self.sockets.owned(id)?.body {
            Body::Connection(connection) if is_connected(connection) => connection.buffer_sizes(),
            _ => (wmem.first as usize, rmem.first as usize),
        };
        let settings = self.tcp_settings(id)?;
        let told = |size, present| match size {
            BufferSize::Auto { .. } => present,
            BufferSize::Fixed(bytes) => bytes * 2,
        };
        Ok((told(settings.send_buffer, present.0), told(settings.recv_buffer, present.1)))
    }

    /// The caller has changed settings: what they mean for the connection takes effect.
    pub fn on_settings_changed(&mut self, id: SocketId, now: Instant) {
        self.on_claim_changed(id);
        let Ok(Entry { body, phase, hop, .. }) = self.sockets.owned_mut(id) else { return };
        // Which ways are open may have changed: the way is looked up again.
        hop.iter_mut().for_each(|hop| hop.epoch = hop.epoch.wrapping_sub(1));
        if let Body::Connection(connection) = body
            && *phase != Phase::Unconnected
        {
            connection.on_settings_changed(&mut self.world.cx(now));
            self.after(id, now);
        }
        self.settle(now);
    }
}
