//! The executor that agents fetch and start: `images-executor RESULTS`, where RESULTS is the address
//! below which results are uploaded. All else it reads from the environment that the agent made.

use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let results = std::env::args().nth(1).unwrap_or_default();
    Ok(images::executor::run(&results).await?)
}
