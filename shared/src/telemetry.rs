//! Logs: levels, formats, where they go.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::UtcTime;

use crate::config::{Common, LogFormat};

/// The filter cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("log level {level:?}: {source}")]
pub struct BadFilter {
    level: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Sends log lines to standard error, from here on; the first may be about the settings. Call once, at start.
pub fn start(settings: &Common) -> Result<(), BadFilter> {
    let level = if settings.debug { "debug" } else { &settings.log_level };
    let filter = EnvFilter::try_new(directives(level))
        .map_err(|source| BadFilter { level: level.to_owned(), source })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_timer(UtcTime::rfc_3339());
    match settings.log_format {
        LogFormat::Human => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    for name in settings.unknown_names() {
        tracing::warn!(name, "the settings file names something unknown; is it misspelt?");
    }
    Ok(())
}

/// A bare level speaks for Drover; libraries stay a level quieter, so that `debug` remains readable.
fn directives(level: &str) -> String {
    match level.to_ascii_lowercase().as_str() {
        own @ ("debug" | "trace") => format!("info,drover_api={own},drover_worker={own},drover_shared={own}"),
        other => other.to_owned(),
    }
}
