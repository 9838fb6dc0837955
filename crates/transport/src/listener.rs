//! Binding the daemon's address.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::limits;

/// A bound address that is not served yet.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: TcpListener,
    address: SocketAddrV4,
}

impl Listener {
    /// The address in use: with port 0, the port that the kernel chose.
    pub fn local_address(&self) -> SocketAddrV4 {
        self.address
    }
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error("cannot listen on {address}: the address is in use")]
    AddressInUse {
        /// The address that was asked for.
        address: SocketAddrV4,
    },
    /// The system refused for another reason.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// The address that was asked for.
        address: SocketAddrV4,
        /// What the system said.
        source: io::Error,
    },
}

/// Binds an address. Connections are queued by the kernel from here on, and are answered once the
/// listener is given to [`crate::serve`].
pub fn bind(address: SocketAddrV4) -> Result<Listener, BindError> {
    listen(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::AddressInUse { address },
        _ => BindError::Other { address, source },
    })
}

fn listen(address: SocketAddrV4) -> io::Result<Listener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    // A restarted daemon must get its port back while old connections linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Connections are as their listener is from the moment that they are accepted.
    set(&socket2::SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(limits::BACKLOG)?;
    let socket = TcpListener::from(socket);
    let address = match socket.local_addr()? {
        SocketAddr::V4(bound) => bound,
        SocketAddr::V6(_) => address,
    };
    Ok(Listener { socket, address })
}

/// Sets a connection that this process has opened.
pub(crate) fn configure(socket: &tokio::net::TcpStream) -> io::Result<()> {
    set(&socket2::SockRef::from(socket))
}

/// What every TCP connection of this process is set to.
fn set(socket: &socket2::SockRef<'_>) -> io::Result<()> {
    // Events and messages are small and waited for: none may wait for a fuller packet.
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(limits::KEEPALIVE_TIME)
        .with_interval(limits::KEEPALIVE_TIME);
    socket.set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_chosen_by_the_kernel_is_told() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(listener.local_address().port(), 0);
    }

    #[test]
    fn accepted_connections_send_at_once_and_notice_dead_peers() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let _peer = std::net::TcpStream::connect(listener.local_address()).unwrap();
        listener.socket.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.socket.accept().unwrap();
        let accepted = socket2::SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap() && accepted.keepalive().unwrap());
        let time = accepted.tcp_keepalive_time().unwrap();
        let interval = accepted.tcp_keepalive_interval().unwrap();
        assert_eq!([time, interval], [limits::KEEPALIVE_TIME; 2]);
    }

    #[test]
    fn an_address_in_use_is_told_apart_from_other_failures() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let taken = bind(first.local_address()).unwrap_err();
        assert!(
            matches!(taken, BindError::AddressInUse { address } if address == first.local_address())
        );
        let foreign = bind("192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert!(matches!(foreign, BindError::Other { .. }), "{foreign}");
    }
}
