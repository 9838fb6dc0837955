//! The resource algebra of Mesos.
