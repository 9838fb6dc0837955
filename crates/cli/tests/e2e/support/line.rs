//! A line to a daemon that can be cut and mended, as networks do by themselves.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::web;

/// Passes on what comes, byte by byte, until the process ends.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    is_cut: bool,
    /// Both ends of every connection there has been.
    sockets: Vec<TcpStream>,
}

impl Line {
    pub(crate) fn to(behind: SocketAddr) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let address = web::accept(move |client| connect(client, behind, &shared));
        Self { address, state }
    }

    /// Ends every connection, and takes no other.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().expect("no panic holds it");
        state.is_cut = true;
        for socket in state.sockets.drain(..) {
            // Those that have ended by themselves are as good.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn mend(&self) {
        self.state.lock().expect("no panic holds it").is_cut = false;
    }
}

fn connect(client: TcpStream, behind: SocketAddr, state: &Mutex<State>) -> io::Result<()> {
    let mut state = state.lock().expect("no panic holds it");
    if state.is_cut {
        return client.shutdown(Shutdown::Both);
    }
    let server = TcpStream::connect(behind)?;
    for (from, to) in [(&client, &server), (&server, &client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    state.sockets.extend([client, server]);
    Ok(())
}
