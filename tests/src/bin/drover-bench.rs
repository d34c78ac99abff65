//! Measures Drover beside the bare CLI and the raw database. How to read it: `drover_tests::bench`.

use clap::Parser;
use drover_tests::bench::{self, Part};
use std::path::PathBuf;

/// Measures release binaries of the directory that this one lies in. Exits with an error only when it could
/// not measure, never because of a number.
#[derive(Parser)]
struct Arguments {
    /// Measures one part only.
    #[arg(long)]
    only: Option<Part>,
    /// Also writes the figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let report = bench::run(arguments.only).await;
    if let Some(path) = arguments.json {
        std::fs::write(path, format!("{:#}\n", report.json()))?;
    }
    Ok(())
}
