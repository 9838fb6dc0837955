//! Where a daemon listens, and the address that it tells others.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, ToSocketAddrs as _, UdpSocket};

use crate::Failure;
use crate::flags::{FlagError, Flags};

/// A daemon's addresses.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// Where to listen.
    pub(crate) bind: SocketAddrV4,
    /// What others are told; the port is that of the listener if this one is 0.
    pub(crate) advertised: SocketAddrV4,
    /// The name in links and offers.
    pub(crate) hostname: String,
}

impl Addresses {
    /// From `--ip`, `--port`, `--advertise_ip`, `--advertise_port` and `--hostname`. Without an
    /// address the daemon listens everywhere and tells the one by which `peer`, or else the rest
    /// of the network, reaches this machine.
    pub(crate) fn from_flags(flags: &Flags, peer: Option<SocketAddrV4>) -> Result<Self, FlagError> {
        let ip = flags.get::<Ipv4Addr>("ip")?;
        let port = flags.get::<u16>("port")?.unwrap_or_default();
        let advertised_ip = match flags.get::<Ipv4Addr>("advertise_ip")? {
            Some(ip) => ip,
            None => ip
                .filter(|ip| !ip.is_unspecified())
                .unwrap_or_else(|| own_address(peer)),
        };
        let advertised_port = flags.get::<u16>("advertise_port")?.unwrap_or(port);
        Ok(Self {
            bind: SocketAddrV4::new(ip.unwrap_or(Ipv4Addr::UNSPECIFIED), port),
            advertised: SocketAddrV4::new(advertised_ip, advertised_port),
            hostname: flags
                .get("hostname")?
                .unwrap_or_else(|| advertised_ip.to_string()),
        })
    }

    /// The advertised address of a listener on `port`.
    pub(crate) fn on_port(&self, port: u16) -> SocketAddrV4 {
        match self.advertised.port() {
            0 => SocketAddrV4::new(*self.advertised.ip(), port),
            _ => self.advertised,
        }
    }
}

/// The address that packets to `peer` leave from. Connecting a datagram socket only asks the
/// routing table; nothing is sent. Without a peer, one from the range for documentation stands for
/// the rest of the world.
fn own_address(peer: Option<SocketAddrV4>) -> Ipv4Addr {
    let peer = peer.unwrap_or(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 9));
    let route = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect(peer).ok()?;
        match socket.local_addr().ok()?.ip() {
            IpAddr::V4(ip) if !ip.is_unspecified() => Some(ip),
            _ => None,
        }
    };
    route().unwrap_or(Ipv4Addr::LOCALHOST)
}

/// The address of a master named as `host:port` or `master@host:port`.
pub(crate) fn master_address(text: &str) -> Result<SocketAddrV4, Failure> {
    let refused = |reason: String| {
        Failure::Flags(FlagError::Value {
            name: "master",
            value: text.to_owned(),
            reason,
        })
    };
    if text.starts_with("zk://") {
        return Err(refused(
            "masters are not found through ZooKeeper yet: give host:port".into(),
        ));
    }
    let host = text.strip_prefix("master@").unwrap_or(text);
    let mut addresses = host
        .to_socket_addrs()
        .map_err(|e| refused(format!("expected the host:port of a master: {e}")))?;
    addresses
        .find_map(|a| match a {
            SocketAddr::V4(a) => Some(a),
            SocketAddr::V6(_) => None,
        })
        .ok_or_else(|| refused("the name has no IPv4 address".into()))
}
