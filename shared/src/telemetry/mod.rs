//! Logs: levels, formats, where they go. What is logged belongs to spans that say to which request, job, attempt and
//! trace; a line of JSON carries all that its spans say at its top level.

mod escape;
mod file;
mod human;
mod json;

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::UtcTime;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use self::file::LogFile;
use crate::config::{Common, LogFormat};

/// Logs cannot be written as they are wanted.
#[derive(Debug, thiserror::Error)]
pub enum NoLogs {
    /// The filter cannot be read.
    #[error("log level {level:?}: {source}")]
    Filter {
        /// What was given.
        level: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// No file can be written.
    #[error("cannot write logs to {0:?}: {1}")]
    File(std::path::PathBuf, #[source] io::Error),
}

/// Keeps the log's file open. When it is dropped, what is still to be written is written.
#[must_use = "what is not written yet is lost with it"]
pub struct Logs {
    _file: Option<LogFile>,
}

/// Sends log lines to standard error, and to a file if the settings name a directory, from here on; the first may be
/// about the settings. `process` is what its files are called by. Call once, at start.
pub fn start(settings: &Common, process: &str) -> Result<Logs, NoLogs> {
    let level = if settings.debug { "debug" } else { &settings.log_level };
    let filter = EnvFilter::try_new(directives(level))
        .map_err(|source| NoLogs::Filter { level: level.to_owned(), source })?;
    let (file, to_file) = match &settings.log_dir {
        Some(dir) => {
            let rule = file::Rule { most_bytes: settings.log_file_bytes(), kept: settings.log_files };
            let (file, writer) =
                LogFile::open(dir, process, rule).map_err(|error| NoLogs::File(dir.clone(), error))?;
            (Some(file), Some(lines(settings.log_format, false, writer)))
        }
        None => (None, None),
    };
    let console = lines(settings.log_format, io::stderr().is_terminal(), io::stderr);
    tracing_subscriber::registry().with(filter).with(console).with(to_file).init();
    for name in settings.unknown_names() {
        tracing::warn!(name, "the settings file names something unknown; is it misspelt?");
    }
    Ok(Logs { _file: file })
}

/// Every line of JSON says from here on which worker it is of.
pub fn identify(worker: &str) {
    // A process is one worker; the first word holds.
    let _ = WORKER.set(worker.to_owned());
}

static WORKER: OnceLock<String> = OnceLock::new();

/// Lines of a format, for a writer.
pub fn lines<S, W>(format: LogFormat, colours: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    match format {
        LogFormat::Human => {
            let lines = lines.with_timer(UtcTime::rfc_3339()).fmt_fields(human::fields());
            lines.with_ansi(colours).boxed()
        }
        LogFormat::Json => lines.fmt_fields(fmt::format::JsonFields::new()).event_format(json::Json).boxed(),
    }
}

/// A bare level speaks for Drover; libraries stay a level quieter, so that `debug` remains readable.
fn directives(level: &str) -> String {
    match level.to_ascii_lowercase().as_str() {
        own @ ("debug" | "trace") => format!("info,drover_api={own},drover_worker={own},drover_shared={own}"),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests;
