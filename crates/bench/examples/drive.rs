//! temporary
fn main() -> std::process::ExitCode {
    let mut args: Vec<_> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|a| a == "bench") {
        args.remove(0);
    }
    meseta_bench::run(args)
}
