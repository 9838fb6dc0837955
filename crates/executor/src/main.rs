//! The executors as a program of their own, for a launcher that wants nothing else of Meseta.

use meseta_executor::Kind;

fn main() -> std::process::ExitCode {
    let kind = match std::env::args_os().nth(1) {
        Some(word) if word == "default" => Kind::Default,
        _ => Kind::Command,
    };
    meseta_executor::run(kind)
}
