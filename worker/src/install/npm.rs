//! Fetching a package with npm.

use std::path::Path;
use std::time::Duration;

use drover_shared::schema::limits;
use tokio::time;

use super::Settings;
use super::given::on_path;
use crate::slot::{Launch, LaunchError, LineError, Slot};

/// How many of npm's lines explain a failure.
const SHOWN_LINES: usize = 4;

/// Why npm did not deliver.
#[derive(Debug, thiserror::Error)]
pub enum NpmError {
    /// There is no npm.
    #[error(
        "npm is needed to install the Claude CLI and is not on PATH: install Node.js \
         (`apt-get install -y nodejs npm`), or set CLAUDE_BINARY_PATH to an installed CLI"
    )]
    Missing,
    /// It does not start.
    #[error("npm cannot be run: {0}")]
    Launch(#[from] LaunchError),
    /// It failed.
    #[error("npm could not install {package}: {reason}")]
    Failed {
        /// The package.
        package: String,
        /// npm's own words, in one line.
        reason: String,
    },
    /// It took too long.
    #[error("npm took more than {} s to install {package}", .limit.as_secs())]
    TimedOut {
        /// The package.
        package: String,
        /// The limit.
        limit: Duration,
    },
    /// Its output could not be read.
    #[error("npm: {0}")]
    Output(#[from] LineError),
}

/// Installs `package` (`name@version`) under `folder`, running none of its scripts.
pub(super) async fn install(package: &str, folder: &Path, settings: &Settings) -> Result<(), NpmError> {
    let npm = on_path("npm", settings).ok_or(NpmError::Missing)?;
    let launch = Launch {
        program: npm,
        arguments: arguments(package, folder, settings),
        environment: environment(&settings.environment),
        directory: folder.to_owned(),
        walls: None,
    };
    let slot = settings.supervisor.launch(&launch).await?;
    let finished = time::timeout(limits::CLI_INSTALL, finish(slot, package)).await;
    finished.map_err(|_| NpmError::TimedOut { package: package.to_owned(), limit: limits::CLI_INSTALL })?
}

async fn finish(mut slot: Slot, package: &str) -> Result<(), NpmError> {
    while slot.lines.next().await?.is_some() {}
    let exit = slot.exited().await;
    if exit.code == Some(0) {
        return Ok(());
    }
    let reason = telling_lines(&slot.process.stderr_tail());
    Err(NpmError::Failed { package: package.to_owned(), reason })
}

fn arguments(package: &str, folder: &Path, settings: &Settings) -> Vec<String> {
    let folder = folder.to_string_lossy();
    let mut arguments: Vec<String> =
        ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
            .map(String::from)
            .into();
    arguments.extend(["--no-progress", "--loglevel=error", "--prefix"].map(String::from));
    arguments.push(folder.clone().into_owned());
    let has_cache =
        settings.environment.iter().any(|(name, _)| name.eq_ignore_ascii_case("npm_config_cache"));
    if !has_cache {
        // Fetched once, so a cache in the user's home would only take up its space again.
        arguments.extend(["--cache".to_owned(), format!("{folder}/cache")]);
    }
    arguments.push(package.to_owned());
    arguments
}

/// What npm needs to find itself, its configuration and its way out. Keys for models are not among it.
fn environment(all: &[(String, String)]) -> Vec<(String, String)> {
    all.iter().filter(|(name, _)| npm_needs(name)).cloned().collect()
}

fn npm_needs(name: &str) -> bool {
    const EXACT: [&str; 9] = [
        "PATH",
        "HOME",
        "LANG",
        "TMPDIR",
        "NODE_EXTRA_CA_CERTS",
        "NODE_USE_SYSTEM_CA",
        "NODE_USE_ENV_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ];
    const ANY_CASE: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
    let upper = name.to_ascii_uppercase();
    EXACT.contains(&name) || ANY_CASE.contains(&upper.as_str()) || upper.starts_with("NPM_CONFIG_")
}

/// The first lines that npm marks as errors: they hold the code and the message, and what follows is the
/// error object's innards. If it marked none, the last lines.
fn telling_lines(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !is_noise(line)).collect();
    let marked =
        lines.iter().filter_map(|line| line.strip_prefix("npm error ").or(line.strip_prefix("npm ERR! ")));
    let mut shown: Vec<&str> = marked.map(str::trim).take(SHOWN_LINES).collect();
    if shown.is_empty() {
        shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].to_vec();
    }
    if shown.is_empty() { "it said nothing".to_owned() } else { shown.join(" | ") }
}

/// Where npm keeps its full log is in the staging folder, which is gone when the operator reads this.
fn is_noise(line: &str) -> bool {
    line.is_empty()
        || line.contains("A complete log of this run")
        || line.contains("_logs/")
        || line.contains("Log files were not")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npm_gets_its_configuration_and_no_secret_of_a_model() {
        let pairs = |names: &[&str]| {
            names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect::<Vec<_>>()
        };
        let wanted =
            pairs(&["PATH", "HOME", "https_proxy", "NO_PROXY", "npm_config_registry", "NODE_EXTRA_CA_CERTS"]);
        let mut all = wanted.clone();
        all.extend(pairs(&["ANTHROPIC_API_KEY", "API_KEYS", "DATABASE_URL", "NODE_OPTIONS", "LD_PRELOAD"]));
        assert_eq!(environment(&all), wanted);
    }

    #[test]
    fn the_lines_that_tell_most_are_shown() {
        let stderr = "npm warn old\nnpm error code E404\nnpm error 404 Not Found\n\nnpm error x\nnpm error y\n\
            npm error z\nnpm error A complete log of this run can be found in: /x/_logs/y.log\n";
        assert_eq!(telling_lines(stderr), "code E404 | 404 Not Found | x | y");
        assert_eq!(telling_lines("1\n2\nKilled\n\n"), "1 | 2 | Killed");
        assert_eq!(telling_lines(""), "it said nothing");
    }
}
