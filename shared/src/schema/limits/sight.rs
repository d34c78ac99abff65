//! What api and worker tell of themselves: metrics and logs.

use std::time::Duration;

/// Connections to the metrics of an api or a worker at a time; one or two scrapers, and somebody who looks.
pub const METRICS_CONNECTIONS: usize = 16;
/// Longest time one of them may take, from its first byte to its last.
pub const METRICS_ANSWER: Duration = Duration::from_secs(30);
/// Longest time that a scrape waits for what the store tells of the queue; it is served without it after that.
pub const METRICS_STORE: Duration = Duration::from_secs(2);
/// Pause between two times that observations are counted, whether or not somebody asks for them.
pub const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// Lines that may wait to be written into a log's file; more are lost. A second's worth of a busy process, about 2 MB.
pub const LOG_BACKLOG: usize = 8192;
/// How large a file of logs may become by default, in MB.
pub const LOG_FILE_MB: u64 = 32;
/// How many files of logs are kept of each process by default.
pub const LOG_FILES: u32 = 8;
/// Processes of a kind that may write logs into one directory at once; nobody has that many on one machine.
pub const LOG_PROCESSES: u32 = 1024;
/// Longest identifier that a client may give its request (OpenAI API, `X-Client-Request-Id`), in bytes.
pub const CLIENT_REQUEST_BYTES: usize = 512;
