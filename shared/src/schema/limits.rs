//! Every limit there is, with its reason. What an operator may set is a setting whose default stands here.

use std::time::Duration;

// --- What clients may send ---------------------------------------------------------------------------

/// Largest request body, in bytes: 300 turns of 3 MB and a few images fit (OpenAI's own limit is 512 MB).
pub const REQUEST_BODY_BYTES: usize = 32 << 20;
/// Most messages in a request; keeps parsing and composing linear in something bounded.
pub const MESSAGES: usize = 10_000;
/// Most stop sequences (OpenAI API, `stop`: up to 4; Anthropic takes more, so we allow what both clients use).
pub const STOP_SEQUENCES: usize = 16;
/// Longest model name, in bytes; it goes into logs and rows.
pub const MODEL_NAME_BYTES: usize = 256;
/// Jobs that may wait before the api answers 429 `queue_full`.
pub const QUEUED_JOBS: u64 = 10_000;
/// Longest time a connection may take to send its head, so that slow clients hold nothing up.
pub const REQUEST_HEAD: Duration = Duration::from_secs(15);
/// Most header lines of a request; SDKs send about twenty.
pub const REQUEST_HEADERS: usize = 100;
/// Longest request head, in bytes (`OpenAI` asks clients to keep all headers under 64 KiB).
pub const REQUEST_HEAD_BYTES: usize = 64 << 10;
/// Longest time a request body may take to arrive; the largest one then needs 2 Mbit/s.
pub const REQUEST_BODY: Duration = Duration::from_mins(2);
/// How much of a body that nobody wants is read all the same before its error goes out, in bytes: a
/// socket closed with unread data resets the connection, and the client never sees the error.
pub const UNWANTED_BODY_BYTES: usize = REQUEST_BODY_BYTES;
/// How long that may take.
pub const UNWANTED_BODY: Duration = Duration::from_secs(5);
/// Bodies above this size, in bytes, are parsed off the threads that serve streams.
pub const PARSE_INLINE_BYTES: usize = 64 << 10;
/// Open connections of one api; further ones wait to be accepted.
pub const CONNECTIONS: usize = 10_000;
/// Longest list of ignored parameters in a response header, in bytes.
pub const IGNORED_HEADER_BYTES: usize = 1 << 10;
/// How long a client may acknowledge nothing, neither bytes nor probes, until its connection is dead.
pub const PEER_SILENCE: Duration = Duration::from_secs(60);
/// Pause between probes of a client from whom nothing is heard.
pub const PEER_PROBE: Duration = Duration::from_secs(20);
/// Models named in the error for an unknown one.
pub const MODELS_NAMED: usize = 10;

// --- Streams to clients ------------------------------------------------------------------------------

/// Pause between heartbeats on an open stream; proxies cut at 60 s.
pub const STREAM_HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a stream waits for its first event before its 200 goes out, so that early failures still get
/// a status of their own. Equal to the heartbeat: the first heartbeat is what commits the status.
pub const STREAM_HOLD: Duration = STREAM_HEARTBEAT;
/// Batches that a slow reader may lag before it reads from the store again instead of from memory.
pub const READER_BACKLOG: usize = 64;
/// Events read from the store in one statement.
pub const EVENTS_PER_READ: u32 = 1_000;
/// Jobs whose new events are read at the same time; the rest waits its turn.
pub const TAIL_READS: usize = 4;
/// Jobs that one sweep looks at; with more readers it takes several sweeps to come round.
pub const JOBS_PER_SWEEP: usize = 64;
/// Silence after which a reader asks whether its job still lives.
pub const READER_PROBE: Duration = Duration::from_secs(15);
/// How long an api keeps trying to call off a job whose last reader has left.
pub const CALL_OFF: Duration = Duration::from_mins(5);
/// How long an api believes what it knows of the fleet.
pub const FLEET_FRESH: Duration = Duration::from_secs(1);
/// How long open answers may take to finish once the api was told to stop.
pub const ANSWER_GRACE: Duration = Duration::from_secs(30);
/// What a client is told to wait before it asks again, when the queue is full, nobody works, the store is
/// away or the api leaves.
pub const TRY_AGAIN: Duration = Duration::from_secs(2);

// --- Jobs --------------------------------------------------------------------------------------------

/// Attempts of a job that has not spoken.
pub const ATTEMPTS: u32 = 3;
/// How long a job may wait for a worker.
pub const QUEUE_DEADLINE: Duration = Duration::from_mins(60);
/// How long one attempt may run.
pub const JOB_WALL: Duration = Duration::from_mins(30);
/// How long an attempt may go without a sign of life from the model.
pub const JOB_STALL: Duration = Duration::from_mins(5);
/// Pause before an attempt that follows a failed one.
pub const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How long finished jobs and their events are kept.
pub const RETENTION: Duration = Duration::from_hours(24);
/// Most jobs deleted in one go of the retention duty; each is a transaction of its own.
pub const PRUNE_BATCH: u32 = 500;
/// Pause between two looks for finished jobs to delete.
pub const PRUNE_EVERY: Duration = Duration::from_secs(30);
/// Pause between two looks for jobs of dead workers.
pub const RESCUE_EVERY: Duration = Duration::from_secs(2);

// --- Store -------------------------------------------------------------------------------------------

/// How long a statement waits for SQLite's write lock.
pub const STORE_BUSY: Duration = Duration::from_secs(5);
/// Pause between a worker's heartbeats.
pub const BEAT: Duration = Duration::from_secs(2);
/// Silence after which a worker counts as dead. More than `STORE_BUSY` and two beats, so that a locked
/// database does not make workers rescue each other; on one machine a lock file tells death at once.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);
/// The safety net under every notification: how often readers and workers look without being rung.
pub const SWEEP: Duration = Duration::from_millis(250);
/// Rings that may wait in a process before the sweep has to find the work.
pub const RING_BACKLOG: usize = 4_096;
/// Appends that may wait for the group commit; past it the CLI's output is not read on.
pub const APPEND_BACKLOG: usize = 2_000;
/// Pause before a store operation that failed is tried again.
pub const STORE_RETRY: Duration = Duration::from_millis(200);

// --- Worker ------------------------------------------------------------------------------------------

/// Longest line of the CLI, in bytes; one JSON line may be megabytes.
pub const CLI_LINE_BYTES: usize = 16 << 20;
/// How much of the CLI's standard error is kept to explain a failure, in bytes.
pub const CLI_STDERR_BYTES: usize = 8 << 10;
/// How long a started CLI may take until it answers `initialize`.
pub const CLI_READY: Duration = Duration::from_secs(30);
/// How long output that the CLI left behind may be read after it has exited.
pub const CLI_OUTPUT_GRACE: Duration = Duration::from_secs(1);
/// How long running jobs may take to finish once a worker was told to stop.
pub const DRAIN_GRACE: Duration = Duration::from_secs(30);
/// Largest body the CLI may send to its relay, in bytes.
pub const RELAY_BODY_BYTES: usize = 32 << 20;
/// Largest error body read from a provider, in bytes.
pub const PROVIDER_ERROR_BYTES: usize = 64 << 10;
/// How long a provider may take to accept a connection.
pub const PROVIDER_CONNECT: Duration = Duration::from_secs(10);
/// Longest server-sent event of a provider, in bytes.
pub const PROVIDER_EVENT_BYTES: usize = 16 << 20;
/// Output limit of a model for which the client gave none (the CLI's own default for its models).
pub const DEFAULT_OUTPUT_TOKENS: u32 = 32_000;
/// Slots per worker by default: a CLI process takes about 100 MB and half a core while it starts.
pub const SLOTS: u32 = 4;
