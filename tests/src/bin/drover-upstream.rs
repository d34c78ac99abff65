//! The scripted provider on a port of its own, for use by hand and by benchmarks.

use clap::Parser;
use drover_tests::upstream::Upstream;
use std::io::Write as _;

/// Serves the Anthropic Messages API on loopback, with answers that the prompt asks for.
#[derive(Parser)]
struct Arguments {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

fn main() -> std::io::Result<()> {
    let upstream = Upstream::start_at(Arguments::parse().port);
    writeln!(std::io::stdout(), "{}", upstream.url())?;
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1));
        upstream.forget();
    }
}
