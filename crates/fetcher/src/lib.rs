//! Brings URIs into sandboxes: schemes, extraction, and a cache of what many ask for.
//!
//! A fetch is a process of its own that runs as the task's user ([`run`]): the kernel then decides
//! what it may read, what it makes is the user's, and ending it is all there is to cancelling. The
//! agent says in the environment what is to be done ([`Job::environment`]), and shares what is to be
//! cached between fetches ([`Cache`]).
//!
//! Nothing is ever written outside the sandbox, whatever an archive or a URI asks for: paths are
//! walked one folder at a time without following links, devices and links that lead out are refused,
//! and what an archive may come to is bounded.
//!
//! ```
//! use meseta_fetcher::{Item, Job};
//!
//! let home = tempfile::tempdir()?;
//! std::fs::write(home.path().join("greeting"), "hello")?;
//! let sandbox = tempfile::tempdir()?;
//! let item = Item {
//!     uri: format!("file://{}/greeting", home.path().display()),
//!     output_file: Some("words/first".to_owned()),
//!     ..Item::default()
//! };
//! let job = Job { directory: sandbox.path().to_owned(), items: vec![item], ..Job::default() };
//! job.fetch(&mut Vec::new())?;
//! assert_eq!(std::fs::read(sandbox.path().join("words/first"))?, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod beneath;
mod cache;
mod download;
mod extract;
mod job;
mod limits;
mod program;
mod uri;

pub use cache::{Cache, Cancelled, Claim, Filling, Key, Use};
pub use job::{Error, Item, Job};
pub use program::{DOES_NOT_FIT, run};
pub use uri::validate;
