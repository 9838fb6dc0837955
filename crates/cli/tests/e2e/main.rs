//! End-to-end tests: the real binary, real processes, real sockets.
//!
//! One test binary for all of them, a module for each promise. They start clusters of their own on
//! free ports and in folders of their own, and end every process that carries a trace of such a
//! folder. Nothing waits for a time to pass: every wait is for a condition, until [`support::PATIENCE`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and JSON is read by indexing"
)]

mod agent_deaths;
mod agent_lives;
mod agent_operator;
mod authentication;
mod bench;
mod book;
mod clients;
mod commands;
mod crowds;
mod draining;
mod drivers;
mod example_curl;
mod example_images;
mod example_notebook;
mod example_scheduler;
mod example_stateful;
mod execute;
mod executor_socket;
mod executor_tokens;
mod executors;
mod failures;
mod fetching;
mod fetching_archives;
mod fetching_servers;
mod foreign_pages;
mod framework_executor;
mod framework_gateway;
mod framework_leaders;
mod full_disk;
mod garbage;
mod golden_endpoints;
mod golden_operator;
mod golden_requests;
mod golden_scenarios;
mod gone;
mod images;
mod keeper;
mod local;
mod logs;
mod metrics;
mod nested;
mod operator;
mod oracle;
mod output;
mod oversubscription;
mod page;
mod places;
mod pymesos;
mod readers;
mod sandboxes;
mod sessions;
mod sharing;
mod support;
mod task_groups;
mod thousand;
mod traces;
mod tutorial;
mod volumes;
mod watching;
