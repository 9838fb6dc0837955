//! What the master promises, checked from outside: by inputs, actions and snapshots.

mod agents;
mod authentication;
mod drain;
mod drivers;
mod followers;
mod frameworks;
mod gone;
mod launches;
mod maintenance;
mod operations;
mod operators;
mod places;
mod quota;
mod reconciliation;
mod recordings;
mod returns;
mod storm;
mod watchers;
mod world;
