//! Runs one task on a cluster and tells what becomes of it:
//!
//! ```sh
//! meseta local &
//! cargo run -p meseta-framework --example hello -- 127.0.0.1:5050
//! ```

use std::error::Error;
use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use meseta_framework::Settings;
use meseta_framework::keep::{Keeper, MemoryStore, Restart, Task};
use meseta_framework::v1::FrameworkInfo;
use tracing_subscriber::filter::LevelFilter;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hello: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    // Says on the terminal what goes wrong, for example that no master answers.
    let log = tracing_subscriber::fmt().with_writer(stderr);
    log.with_max_level(LevelFilter::WARN).init();
    let mut arguments = std::env::args().skip(1);
    let masters = arguments.next().unwrap_or("127.0.0.1:5050".into());
    let framework = FrameworkInfo {
        user: std::env::var("USER").unwrap_or("root".into()),
        name: "hello".into(),
        ..FrameworkInfo::default()
    };
    let settings = Settings::new(masters, framework);
    let mut keeper = Keeper::start(settings, MemoryStore::default()).await?;
    let hello = Task::command("hello", "echo hello from $(hostname)").restart(Restart::Never);
    keeper.declare(hello).await?;
    while let Some(status) = keeper.next().await? {
        let state = status.state();
        let (id, message) = (&status.task_id, status.message());
        writeln!(stdout(), "{id} {} {message}", state.as_str_name())?;
        if state.is_terminal() {
            keeper.teardown().await?;
            break;
        }
    }
    Ok(())
}
