//! What an api can be told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use drover_shared::schema::limits;

use crate::cors::Origins;

/// Settings of one api. Not `Debug`, since it holds keys.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes any free one.
    pub bind: SocketAddr,
    /// Keys that clients may come with. None: everybody may come, and all share one owner.
    pub api_keys: Vec<String>,
    /// Refuses to start without a key.
    pub require_auth: bool,
    /// Web pages that may use the api from a browser.
    pub allowed_origins: Origins,
    /// Jobs that may wait before requests are answered 429.
    pub max_queued: u64,
    /// Largest request body, in bytes.
    pub body_limit_bytes: usize,
    /// Longest time a request body may take to arrive.
    pub body_timeout: Duration,
    /// Longest time a connection may take to send a request's head.
    pub head_timeout: Duration,
    /// Where slots and projects live. None: the files of projects are out of this api's reach.
    pub project_root: Option<PathBuf>,
    /// What the files of a project may fill, in bytes.
    pub project_bytes: u64,
    /// Largest upload, in bytes.
    pub upload_bytes: u64,
    /// How long an upload may pause.
    pub upload_stall: Duration,
    /// How long a stream waits for its first event before its status goes out.
    pub stream_hold: Duration,
    /// Pause between heartbeats on a quiet stream.
    pub stream_heartbeat: Duration,
    /// How long a job with a key goes on without a client.
    pub return_grace: Duration,
    /// Silence of a WebSocket's client after which it is pinged.
    pub socket_ping: Duration,
    /// How long a WebSocket's client may take to read a few frames.
    pub socket_write: Duration,
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
            allowed_origins: Origins::None,
            max_queued: limits::QUEUED_JOBS,
            body_limit_bytes: limits::REQUEST_BODY_BYTES,
            body_timeout: limits::REQUEST_BODY,
            head_timeout: limits::REQUEST_HEAD,
            project_root: None,
            project_bytes: limits::PROJECT_MB << 20,
            upload_bytes: limits::UPLOAD_MB << 20,
            upload_stall: limits::UPLOAD_STALL,
            stream_hold: limits::STREAM_HOLD,
            stream_heartbeat: limits::STREAM_HEARTBEAT,
            return_grace: limits::RETURN_GRACE,
            socket_ping: limits::SOCKET_PING,
            socket_write: limits::SOCKET_WRITE,
            retention: limits::RETENTION,
            sessions: Duration::from_hours(24 * u64::from(limits::SESSION_DAYS)),
            stored: Duration::from_hours(24 * u64::from(limits::STORED_DAYS)),
            ledger: Duration::from_hours(24 * u64::from(limits::LEDGER_DAYS)),
            shutdown_grace: limits::ANSWER_GRACE,
        }
    }
}
