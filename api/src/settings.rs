//! What an api can be told.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use drover_shared::schema::limits;

/// Settings of one api. Not `Debug`, since it holds keys.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes any free one.
    pub bind: SocketAddr,
    /// Keys that clients may come with. None: everybody may come, and all share one owner.
    pub api_keys: Vec<String>,
    /// Refuses to start without a key.
    pub require_auth: bool,
    /// Jobs that may wait before requests are answered 429.
    pub max_queued: u64,
    /// Largest request body, in bytes.
    pub body_limit_bytes: usize,
    /// Longest time a request body may take to arrive.
    pub body_timeout: Duration,
    /// Longest time a connection may take to send a request's head.
    pub head_timeout: Duration,
    /// How long a stream waits for its first event before its status goes out.
    pub stream_hold: Duration,
    /// Pause between heartbeats on a quiet stream.
    pub stream_heartbeat: Duration,
    /// How long finished jobs are kept.
    pub retention: Duration,
    /// How long sessions are kept that nobody writes to.
    pub sessions: Duration,
    /// How long stored completions are kept.
    pub stored: Duration,
    /// How long the ledger keeps calls.
    pub ledger: Duration,
    /// How long open answers may take to finish after shutdown has begun.
    pub shutdown_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)),
            api_keys: Vec::new(),
            require_auth: false,
            max_queued: limits::QUEUED_JOBS,
            body_limit_bytes: limits::REQUEST_BODY_BYTES,
            body_timeout: limits::REQUEST_BODY,
            head_timeout: limits::REQUEST_HEAD,
            stream_hold: limits::STREAM_HOLD,
            stream_heartbeat: limits::STREAM_HEARTBEAT,
            retention: limits::RETENTION,
            sessions: Duration::from_hours(24 * u64::from(limits::SESSION_DAYS)),
            stored: Duration::from_hours(24 * u64::from(limits::STORED_DAYS)),
            ledger: Duration::from_hours(24 * u64::from(limits::LEDGER_DAYS)),
            shutdown_grace: limits::ANSWER_GRACE,
        }
    }
}
