//! Credentials, and how agents and old drivers prove to a master that they have one: CRAM-MD5
//! (RFC 2195), as SASL speaks it, from both sides. Pure: what is sent and received, and when, is
//! the concern of the machines that hold a [`Session`] or an [`Authenticatee`]. Executors prove to
//! their agent who they are with a token that it has signed ([`TokenKey`]).
//!
//! ```
//! use meseta_authentication::{Answer, Authenticatee, Authenticator, Credentials, Session, Verdict};
//!
//! let credentials = Credentials::parse("sherman kitesurf")?;
//! let authenticator = Authenticator::new(credentials.clone(), [7; 16]);
//! let mut master = Session::new(authenticator.challenge(1, "master"));
//! let mut agent = Authenticatee::new(credentials.into_only()?);
//!
//! let Answer::Start { mechanism, data } = agent.on_mechanisms(&["CRAM-MD5".into()])? else { unreachable!() };
//! let Verdict::Continue(challenge) = master.on_start(&mechanism, &data) else { unreachable!() };
//! let Answer::Step { data } = agent.on_step(&challenge)? else { unreachable!() };
//! assert_eq!(master.on_step(&authenticator, &data), Verdict::Completed("sherman".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod credentials;
mod digest;
mod server;
mod token;

pub use client::{Answer, Authenticatee, OutOfStep};
pub use credentials::{Credential, Credentials, CredentialsError};
pub use server::{Authenticator, Session, Verdict};
pub use token::{Claims, TokenError, TokenKey};

/// The one mechanism, by its SASL name.
pub const CRAM_MD5: &str = "CRAM-MD5";
