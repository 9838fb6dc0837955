//! Hierarchical fair sharing of resources, as a pure library.
//!
//! The [`Allocator`] is told about agents, frameworks and what becomes of resources; when asked it
//! answers which framework should be offered what. It owns no clock and no timer: the time comes
//! with the calls, and [`Allocator::next_expiry`] says when it next matters.
//!
//! Shares are dominant shares: of each resource, what a role or framework holds is divided by what
//! all agents together have, and the largest of these fractions counts, divided by the role's
//! weight. At every level of the tree of roles the smallest share comes first; in each role, the
//! framework with the smallest share. One framework gets all that is free on an agent for its role.
//!
//! Quotas bind roles with all below them: limits are never exceeded, and what roles lack of their
//! guarantees is offered to them first and kept free for them. [`Allocator::why`] gives the reason
//! for every offer that is not made.
//!
//! Work follows change. An agent is looked at again when something on it became free, and a
//! framework when it came, revived or a filter of its ran out; an allocation with nothing changed
//! costs nothing, however large the cluster.
//!
//! ```
//! use std::time::Duration;
//! use meseta_allocator::{AgentView, Allocator, FrameworkView, Options};
//! use meseta_machine::Now;
//! use meseta_resources::Resources;
//!
//! let at = |seconds| Now {
//!     monotonic: Duration::from_secs(seconds),
//!     wall: Duration::from_secs(1_700_000_000 + seconds),
//! };
//! let mut allocator = Allocator::new(Options::default());
//! let agent = AgentView {
//!     total: Resources::parse("cpus:2;mem:1024", "*")?,
//!     ..AgentView::default()
//! };
//! allocator.add_agent("a".into(), agent);
//! let framework = FrameworkView { roles: ["web".to_owned()].into(), ..FrameworkView::default() };
//! allocator.add_framework("f".into(), framework);
//!
//! let [proposal] = &allocator.allocate(at(0))[..] else { panic!("one offer") };
//! assert_eq!((proposal.role.as_str(), proposal.resources.cpus()), ("web", Some(2.0)));
//!
//! // Declined for five seconds.
//! let five = Duration::from_secs(5);
//! allocator.decline(&proposal.framework, &proposal.agent, &proposal.resources, five, at(1));
//! assert!(allocator.allocate(at(2)).is_empty());
//! assert_eq!(allocator.next_expiry(), Some(Duration::from_secs(6)));
//! assert_eq!(allocator.allocate(at(6)).len(), 1);
//! # Ok::<(), meseta_resources::Error>(())
//! ```

mod agent;
mod allocator;
mod books;
mod client;
mod constraints;
mod keys;
pub mod limits;
mod maintenance;
mod pace;
mod quota;
mod recovery;
mod refusal;
mod rescind;
mod round;
mod share;
mod tree;
mod views;
mod why;

pub use allocator::{Allocator, Proposal};
pub use constraints::{ConstraintError, Constraints};
pub use maintenance::{InverseAnswer, InverseProposal, InverseStatus};
pub use quota::Quota;
pub use refusal::{Reason, Refusal};
pub use rescind::Outstanding;
pub use views::{AgentView, FrameworkView, Options, Sorter, refusal_time};
pub use why::Verdicts;
