//! What the master refuses, and the sentence it refuses it with.
//!
//! Pure functions over the wire types: each takes a message and what the master knows that the
//! message must agree with, and returns the first thing that is wrong. The order of the checks and
//! the sentences are Mesos's, because both reach users: as the text of an HTTP 400, of an ERROR
//! event, or as the message of a TASK_ERROR update.
//!
//! Some checks protect peers rather than users: a C++ agent ends itself when it is sent a task with
//! both a command and an executor, or resources without an allocation role.

mod call;
mod check;
mod command;
mod constraints;
mod executor;
mod framework;
mod group;
mod id;
mod maintenance;
mod offer;
mod operation;
mod operator;
mod quota;
mod resource;
mod role;
mod task;
#[cfg(test)]
mod tests;

pub use call::scheduler_call;
pub use framework::{
    FrameworkRules, framework, framework_update, offer_constraints, suppressed_roles,
};
pub use group::task_group;
pub use id::id;
pub use maintenance::{machines, schedule};
pub use offer::offers;
pub use operation::operation;
pub use operator::operator_call;
pub use quota::{quota_config, quota_guarantee};
pub use resource::resources;
pub use role::{role, roles_flag};
pub use task::task;

/// What is wrong, as the sentence that Mesos gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// The outcome of a check.
pub type Checked = Result<(), Invalid>;

/// As Mesos prints a set of names: `{ a, b }`.
fn set_text<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.as_slice() {
        [] => "{}".to_owned(),
        names => format!("{{ {} }}", names.join(", ")),
    }
}

/// A check's refusal, with what was being checked in front of it.
fn within(what: &str) -> impl Fn(Invalid) -> Invalid + '_ {
    move |e| Invalid(format!("{what}: {e}"))
}
