//! Launching, watching and destroying containers.
