//! The api's command line, environment and file.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};
use drover_shared::config::Common;
use drover_shared::schema::limits;
use drover_shared::secret::Secret;

use crate::commands::Keys;
use crate::cors::{Origin, Origins};
use crate::settings::Settings;

/// Serves OpenAI's API for a fleet of Drover workers.
#[derive(Parser, Debug)]
#[command(name = "drover-api", version, about)]
pub struct Arguments {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serving: Serving,
}

/// What the binary can do besides serving.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Succeed if the api at HOST and PORT is ready (for health checks)
    Ping,
    /// Make, list and revoke API keys in the database
    #[command(subcommand)]
    Keys(Keys),
}

/// Everything an operator may set.
#[derive(Args, Clone, Debug)]
pub struct Serving {
    /// Settings of both binaries.
    #[command(flatten)]
    pub common: Common,
    /// Address to listen at; beyond loopback only with keys or --allow-open
    #[arg(long, value_name = "ADDRESS", env = "HOST", default_value = "127.0.0.1", value_parser = address)]
    host: IpAddr,
    /// Port to listen at; 0 takes any free one
    #[arg(long, env = "PORT", default_value_t = 8000)]
    port: u16,
    /// Keys that clients must send, separated by commas
    #[arg(long, value_name = "KEYS", env = "API_KEYS", value_delimiter = ',')]
    api_keys: Vec<Secret>,
    /// Refuse to start without keys
    #[arg(long, env = "REQUIRE_AUTH", value_parser = BoolishValueParser::new())]
    require_auth: bool,
    /// Listen beyond loopback although no key is configured
    #[arg(long, env = "DROVER_ALLOW_OPEN", value_parser = BoolishValueParser::new())]
    allow_open: bool,
    /// Origins of web pages that may use the api from a browser, separated by commas; * for all
    #[arg(long, value_name = "ORIGINS", env = "DROVER_ALLOWED_ORIGINS", value_delimiter = ',')]
    allowed_origins: Vec<Origin>,
    /// Jobs that may wait before requests are answered 429
    #[arg(long, value_name = "N", env = "DROVER_MAX_QUEUED", default_value_t = limits::QUEUED_JOBS)]
    max_queued: u64,
    /// Hours that finished jobs are kept
    #[arg(long, value_name = "HOURS", env = "DROVER_RETENTION_HOURS",
          default_value_t = limits::RETENTION.as_secs() / 3_600, value_parser = clap::value_parser!(u64).range(1..=876_000))]
    retention_hours: u64,
    /// Days that a session is kept that nobody writes to
    #[arg(long, value_name = "DAYS", env = "DROVER_SESSION_DAYS", default_value_t = limits::SESSION_DAYS,
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    session_days: u32,
    /// Days that stored completions are kept
    #[arg(long, value_name = "DAYS", env = "DROVER_STORED_DAYS", default_value_t = limits::STORED_DAYS,
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    stored_days: u32,
    /// Days that the ledger of calls to providers is kept
    #[arg(long, value_name = "DAYS", env = "DROVER_LEDGER_DAYS", default_value_t = limits::LEDGER_DAYS,
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    ledger_days: u32,
    /// What the files of a project may fill, in MB, as far as they are uploaded
    #[arg(long, value_name = "MB", env = "DROVER_PROJECT_MB", default_value_t = limits::PROJECT_MB,
          value_parser = clap::value_parser!(u64).range(1..1 << 40))]
    project_mb: u64,
    /// Largest upload to a project, in MB
    #[arg(long, value_name = "MB", env = "DROVER_UPLOAD_MB", default_value_t = limits::UPLOAD_MB,
          value_parser = clap::value_parser!(u64).range(1..1 << 40))]
    upload_mb: u64,
    /// Where to serve metrics for Prometheus, at /metrics; of HOST:FIRST-LAST the first free port is taken. They ask
    /// for no key, so choose a loopback or an internal address [default: nowhere]
    #[arg(long, value_name = "HOST:PORT", env = "DROVER_API_METRICS_ADDRESS")]
    pub metrics_address: Option<String>,
}

/// Anyone who reaches the port could spend the operator's credit.
#[derive(Debug, thiserror::Error)]
#[error(
    "refusing to listen at {0} without API_KEYS: anyone who reaches it may use it. Set API_KEYS, make a key with \
     `drover-api keys create`, or pass --allow-open (DROVER_ALLOW_OPEN=true) if something else guards the port"
)]
pub struct OpenToAll(IpAddr);

impl Serving {
    /// Where to listen.
    pub fn bind(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// What the server is told. Refuses an address beyond loopback that no key guards, be it here or, as the caller says,
    /// in the store.
    pub fn settings(&self, store_has_keys: bool) -> Result<Settings, OpenToAll> {
        let keys: Vec<String> = self
            .api_keys
            .iter()
            .map(|key| key.expose().trim().to_owned())
            .filter(|key| !key.is_empty())
            .collect();
        if keys.is_empty() && !store_has_keys && !self.host.is_loopback() && !self.allow_open {
            return Err(OpenToAll(self.host));
        }
        Ok(Settings {
            bind: self.bind(),
            api_keys: keys,
            require_auth: self.require_auth,
            allowed_origins: Origins::of(&self.allowed_origins),
            max_queued: self.max_queued,
            retention: Duration::from_hours(self.retention_hours),
            sessions: Duration::from_hours(24 * u64::from(self.session_days)),
            stored: Duration::from_hours(24 * u64::from(self.stored_days)),
            ledger: Duration::from_hours(24 * u64::from(self.ledger_days)),
            project_root: Some(self.common.work_root()),
            project_bytes: self.project_mb << 20,
            upload_bytes: self.upload_mb << 20,
            ..Settings::default()
        })
    }
}

/// An IP address, or the one name that everybody writes for one.
fn address(text: &str) -> Result<IpAddr, std::net::AddrParseError> {
    if text == "localhost" { Ok(IpAddr::from([127, 0, 0, 1])) } else { text.parse() }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn settings(arguments: &[&str]) -> Result<Settings, OpenToAll> {
        let arguments = std::iter::once("drover-api").chain(arguments.iter().copied());
        Arguments::try_parse_from(arguments).expect("arguments").serving.settings(false)
    }

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_open_port_needs_a_key_or_a_word() {
        assert!(settings(&["--host", "0.0.0.0"]).is_err());
        assert!(settings(&["--host", "0.0.0.0", "--api-keys", " ,"]).is_err());
        assert!(settings(&["--host", "0.0.0.0", "--api-keys", "k1,k2"]).is_ok());
        let stored = Arguments::try_parse_from(["drover-api", "--host", "0.0.0.0"]).expect("arguments");
        assert!(stored.serving.settings(true).is_ok(), "the store has keys");
        assert!(settings(&["--host", "0.0.0.0", "--allow-open"]).is_ok());
        assert!(settings(&["--host", "localhost"]).is_ok());
        assert!(settings(&["--host", "::1"]).is_ok());
    }

    #[test]
    fn an_origin_that_no_browser_would_send_is_refused() {
        let given = settings(&["--allowed-origins", "https://a.example,http://localhost:3000"]);
        let origins = given.map(|settings| settings.allowed_origins).ok();
        assert!(matches!(origins, Some(Origins::These(these)) if these.len() == 2));
        let refused = Arguments::try_parse_from(["drover-api", "--allowed-origins", "https://a.example/app"]);
        assert!(refused.is_err_and(|error| error.to_string().contains("without a path")));
    }

    #[test]
    fn keys_are_never_printed() {
        let arguments = Arguments::try_parse_from(["drover-api", "--api-keys", "sk-1"]).expect("arguments");
        assert!(!format!("{arguments:?}").contains("sk-1"));
    }
}
