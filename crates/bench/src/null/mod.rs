//! A target that does nothing: it answers as a master does, and decides, checks, shares and keeps
//! as little as it can.
//!
//! What a scenario reaches against it is the generator's own ceiling. It is no master: it offers
//! whatever an agent has again as soon as the last offer is answered, whether or not it is in use.

mod books;
mod calls;
mod child;
mod service;

use std::net::{Ipv4Addr, SocketAddrV4};

pub(crate) use child::{NullTarget, end_with_input};
pub(crate) use service::Null;

use crate::error::Error;

/// Listens at a port of this machine, and serves for ever; says first where that is.
pub(crate) async fn serve(port: u16, says: impl FnOnce(SocketAddrV4)) -> Result<(), Error> {
    let listener = meseta_transport::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    let address = listener.local_address();
    says(address);
    match meseta_transport::serve(listener, Null::new(address)).await {
        Ok(never) => match never {},
        Err(error) => Err(Error::Runtime(error)),
    }
}
