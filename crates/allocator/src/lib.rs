//! Hierarchical fair sharing of resources, as a pure library.
