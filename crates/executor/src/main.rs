//! The command executor as a program of its own, for a launcher that wants nothing else of Meseta.

fn main() -> std::process::ExitCode {
    meseta_executor::run()
}
