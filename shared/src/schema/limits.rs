//! Every limit there is, with its reason. What an operator may set is a setting whose default stands here.

mod again;
mod egress;
mod files;
mod keys;
mod projects;
mod sight;
mod sockets;
mod stored;

use std::time::Duration;

use super::spec::Effort;

pub use self::{again::*, egress::*, files::*, keys::*, projects::*, sight::*, sockets::*, stored::*};

// --- What clients may send ---------------------------------------------------------------------------

/// Largest request body, in bytes: 300 turns of 3 MB and a few images fit (OpenAI's own limit is 512 MB).
pub const REQUEST_BODY_BYTES: usize = 32 << 20;
/// Most messages in a request; keeps parsing and composing linear in something bounded.
pub const MESSAGES: usize = 10_000;
/// Longest name of an end user, in bytes (Anthropic Messages API, `metadata.user_id`).
pub const USER_BYTES: usize = 256;
/// Most images and documents in a request (Anthropic API reference, "Vision": 100 for most models).
pub const IMAGES: usize = 100;
/// Largest image, in bytes (Anthropic API reference, "Vision": 5 MB). Documents are bounded by the body alone.
pub const IMAGE_BYTES: usize = 5 << 20;
/// Longest URL of an image, in bytes: what servers and browsers take.
pub const IMAGE_URL_BYTES: usize = 8 << 10;
/// Most tools in a request (OpenAI API, `tools`: up to 128).
pub const TOOLS: usize = 128;
/// Longest name of a tool, in bytes (OpenAI API, `tools[].function.name`: up to 64 characters).
pub const TOOL_NAME_BYTES: usize = 64;
/// Longest identifier of a tool's call, in bytes; the providers' own are about 30.
pub const TOOL_CALL_ID_BYTES: usize = 256;
/// How deep the arguments of a call may nest: they stand a few levels deeper in the job's row, which is read with
/// the 128 levels of `serde_json`.
pub const ARGUMENTS_DEPTH: usize = 100;
/// Most values of a schema that answers are held against, everything that it refers to written out (OpenAI API,
/// structured outputs: up to 5,000 properties).
pub const SCHEMA_VALUES: usize = 20_000;
/// How deep such a schema may nest, likewise: each level takes a few hundred bytes of the stack.
pub const SCHEMA_DEPTH: usize = 200;
/// Largest pattern of such a schema once it is compiled, in bytes.
pub const SCHEMA_PATTERN_BYTES: usize = 1 << 20;
/// Longest answer that is held against a schema, in bytes; the longest that models give are about 0.5 MB.
pub const CHECKED_ANSWER_BYTES: usize = 4 << 20;
/// Answers that one request may want; each takes a process of its own, or waits for one.
pub const CHOICES: u32 = 16;
/// Longest text that is kept back while it may only lead up to an answer that is a call, in bytes.
pub const PREAMBLE_BYTES: usize = 16 << 10;
/// Most stop sequences (OpenAI API, `stop`: up to 4; Anthropic takes more, so we allow what both clients use).
pub const STOP_SEQUENCES: usize = 16;
/// Longest model name, in bytes; it goes into logs and rows.
pub const MODEL_NAME_BYTES: usize = 256;
/// Longest name of a project or title of a session, in characters.
pub const NAME_CHARS: usize = 200;
/// Longest description of a project, in characters.
pub const DESCRIPTION_CHARS: usize = 2_000;
/// Most rules of a project's network.
pub const NETWORK_RULES: usize = 100;
/// Largest body of a request about projects and sessions, in bytes: a system prompt may be long.
pub const RESOURCE_BODY_BYTES: usize = 1 << 20;
/// Items of a list that one answer holds at most, and unless it is told.
pub const PAGE: u32 = 100;
/// See [`PAGE`].
pub const PAGE_USUAL: u32 = 20;
/// Most JSON values in a request: ten thousand messages of two parts each fit several times over. A value may
/// take a hundred times its bytes once it is read, so `REQUEST_BODY_BYTES` alone does not bound memory.
pub const REQUEST_VALUES: usize = 250_000;
/// Most fields that an answer names as ignored, so that its header stays small.
pub const IGNORED_NAMES: usize = 32;
/// Longest name of a field that an answer names as ignored, in bytes; the rest of it is cut off.
pub const IGNORED_NAME_BYTES: usize = 64;
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
pub const UNWANTED_BODY_BYTES: usize = 2 * REQUEST_BODY_BYTES;
/// How long that may take.
pub const UNWANTED_BODY: Duration = Duration::from_secs(15);
/// Bodies above this size, in bytes, are parsed off the threads that serve streams.
pub const PARSE_INLINE_BYTES: usize = 64 << 10;
/// Longest path and query of a request, in bytes: a file's path of 4 KiB, each byte of which is percent-encoded, fits.
pub const REQUEST_URI_BYTES: usize = 16 << 10;
/// Open connections of one api; further ones wait to be accepted.
pub const CONNECTIONS: usize = 10_000;
/// Longest list of ignored parameters in a response header, in bytes.
pub const IGNORED_HEADER_BYTES: usize = 1 << 10;
/// How long a client may acknowledge nothing, neither bytes nor probes, until its connection is dead.
pub const PEER_SILENCE: Duration = Duration::from_mins(1);
/// Pause between probes of a client from whom nothing is heard.
pub const PEER_PROBE: Duration = Duration::from_secs(20);
/// Models named in the error for an unknown one.
pub const MODELS_NAMED: usize = 10;

// --- Streams to clients ------------------------------------------------------------------------------

/// Longest piece of a stream that tells characters, words or sentences, in bytes; looking for the end of one takes
/// time that grows with it.
pub const GRAIN_BYTES: usize = 4 << 10;
/// Longest piece of a stream that tells whole messages, in bytes: more than models say at once.
pub const GRAIN_MESSAGE_BYTES: usize = CHECKED_ANSWER_BYTES;
/// Longest character that such a limit spares, in bytes: the longest emoji in use has 35.
pub const GRAIN_CHARACTER_BYTES: usize = 256;
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
/// Attempts of a job altogether. Those that were cut short by their worker's stopping are on top of [`ATTEMPTS`]: a
/// fleet that is renewed worker by worker fails no job, and one that stops all the time does not run it for ever.
pub const ATTEMPTS_ALTOGETHER: u32 = 20;
/// How long a job may wait for a worker.
pub const QUEUE_DEADLINE: Duration = Duration::from_hours(1);
/// How long one attempt may run.
pub const JOB_WALL: Duration = Duration::from_mins(30);
/// How long an attempt may go without a sign of life from the model. An agent's tool may take longer: it has a
/// limit of its own, `AGENT_BASH_LONGEST`.
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

/// Most jobs that are added in one commit.
pub const INTAKE_BATCH: usize = 256;
/// How long a statement waits for SQLite's write lock.
pub const STORE_BUSY: Duration = Duration::from_secs(5);
/// Connections of a process that read; writers wait for each other anyway, so there is one of those.
pub const STORE_READERS: u32 = 3;
/// How long a starting process waits for another one that migrates the database.
pub const MIGRATE_WAIT: Duration = Duration::from_mins(1);
/// Size to which SQLite's write-ahead log is cut back after a burst, in bytes.
pub const WAL_BYTES: u32 = 32 << 20;
/// Chunks stored with one statement: seven values each, of the 32,766 that SQLite binds.
pub const CHUNKS_PER_INSERT: usize = 2_000;
/// Turns of a session's history stored with one statement: six values each.
pub const TURNS_PER_INSERT: usize = 2_000;
/// Tasks with nothing to do that one claim puts away, so that it holds the write lock for a bounded time.
pub const CLAIM_PASSES: u32 = 100;
/// How often one claim goes on after that: as often as a queue holds that is full by default.
pub const CLAIM_ROUNDS: u32 = 100;
/// Most jobs that wait for one project. Until its running job ends, whoever looks for work passes them all over.
pub const PROJECT_QUEUED: u32 = 16;
/// Most jobs that wait for one session of a chat, likewise.
pub const SESSION_QUEUED: u32 = PROJECT_QUEUED;
/// Most that the history of a session may hold before it takes no further job, in bytes: as much as a request.
pub const HISTORY_BYTES: u64 = REQUEST_BODY_BYTES as u64;
/// How long a session is kept that nobody writes to by default, in days.
pub const SESSION_DAYS: u32 = 30;
/// Largest entry of a session's transcript, in bytes: it comes as a line of the CLI.
pub const TRANSCRIPT_ENTRY_BYTES: usize = CLI_LINE_BYTES;
/// Most that a session's transcript may hold, in bytes: the largest context window is about 4 MB of text, and the
/// CLI compacts what outgrows it. Past it the session cannot be resumed in another process.
pub const TRANSCRIPT_BYTES: usize = 64 << 20;
/// Jobs of each kind that one rescue takes up.
pub const RESCUE_BATCH: u32 = 500;
/// Pause between a worker's heartbeats.
pub const BEAT: Duration = Duration::from_secs(2);
/// Silence after which a worker counts as dead. More than `STORE_BUSY` and two beats, so that a locked
/// database does not make workers rescue each other; on one machine a lock file tells death at once.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);
/// The safety net under every notification: how often readers and workers look without being rung.
pub const SWEEP: Duration = Duration::from_millis(250);
/// Rings that may wait in a process before the sweep has to find the work.
pub const RING_BACKLOG: usize = 4_096;
/// Rings in one datagram, 17 bytes each: far below any socket buffer.
pub const RINGS_PER_DATAGRAM: usize = 256;
/// Appends that may wait for the group commit; past it the CLI's output is not read on.
pub const APPEND_BACKLOG: usize = 2_000;
/// Rows of the ledger that one statement adds: far below the parameters that SQLite takes.
pub const CALLS_PER_INSERT: usize = 500;
/// Calls of one job that are told.
pub const JOB_CALLS: u32 = 1_000;
/// Largest figure of a row of the ledger: sums of a million of them are still numbers.
pub const LEDGER_FIGURE: i64 = 1 << 42;
/// How long the ledger keeps calls by default, in days: a year and a month to look back from.
pub const LEDGER_DAYS: u32 = 400;
/// Rows of usage that one answer tells at most, and unless it is told.
pub const USAGE_ROWS: u32 = 10_000;
/// See [`USAGE_ROWS`].
pub const USAGE_ROWS_USUAL: u32 = 1_000;
/// Longest time over which usage is compared, in days.
pub const COMPARISON_DAYS: u32 = 90;
/// Pause before a store operation that failed is tried again.
pub const STORE_RETRY: Duration = Duration::from_millis(200);

// --- Worker ------------------------------------------------------------------------------------------

/// Longest line of the CLI, in bytes; one JSON line may be megabytes.
pub const CLI_LINE_BYTES: usize = 16 << 20;
/// How much of the CLI's standard error is kept to explain a failure, in bytes.
pub const CLI_STDERR_BYTES: usize = 8 << 10;
/// Longest name of something unknown that is kept from a line of the CLI, in bytes; it goes into rows and logs.
pub const CLI_KIND_BYTES: usize = 64;
/// Longest error message that is kept from a line of the CLI, in bytes.
pub const CLI_MESSAGE_BYTES: usize = 1 << 10;
/// Files that a process of a slot may have open; the CLI opens some dozens, bundlers and watchers more.
pub const SLOT_OPEN_FILES: u64 = 4_096;
/// Largest file that a process of a slot may write, in bytes: a package, an image, a build's output fit.
pub const SLOT_FILE_BYTES: u64 = 4 << 30;
/// User ids of slots, where each has its own: a block that distributions leave free, and systemd's overview of
/// user ids lists as unused.
pub const SLOT_USERS: &str = "60578-61183";
/// Processes and threads of a slot that has a user of its own: the kernel's own stop behind the watchdog's, which
/// counts processes. The CLI has about 30 threads, a build a few hundred.
pub const SLOT_TASKS: u64 = 1_024;
/// How long a supervisor waits for a connection to 127.0.0.1 on behalf of its slot, whose other calls wait
/// with it: such a connection is made at once or not at all.
pub const LOOPBACK_CONNECT: Duration = Duration::from_secs(1);
/// Most ancestors of a process that are looked at; a real one has about ten.
pub const LINEAGE: usize = 10_000;
/// Buffer asked for in the pipes to and from a CLI, in bytes: four times Linux's own default, so that a long
/// line takes fewer wake-ups; an unprivileged user may hold 256 of them before the kernel hands out less.
pub const CLI_PIPE_BYTES: usize = 256 << 10;
/// Largest description of a CLI to start (arguments and environment), in bytes; the kernel takes about 2 MB.
pub const CLI_LAUNCH_BYTES: usize = 4 << 20;
/// How long a supervisor that was told to kill may take; past it, it is killed itself.
pub const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(5);
/// Longest pause between two rounds of killing what a CLI left behind.
pub const SWEEP_PAUSE: Duration = Duration::from_secs(1);
/// The CLI's own limit for an answer: longer than any job, whose limits are the worker's to watch.
pub const CLI_UPSTREAM_PATIENCE: Duration = Duration::from_hours(24);
/// How long an agent's command may run by default; the CLI's own choice.
pub const AGENT_BASH: Duration = Duration::from_mins(2);
/// How long an agent may let a command run if it says so; the CLI's own choice.
pub const AGENT_BASH_LONGEST: Duration = Duration::from_mins(10);
/// Longest result of an MCP tool that an agent's model is shown, in tokens; the CLI's own choice.
pub const AGENT_MCP_OUTPUT_TOKENS: u32 = 25_000;
/// The context window that an agent's conversation is kept within by compacting it, in tokens: fits the models
/// with 128k that providers offer to agents, and is above the 100k that the CLI takes at least.
pub const AGENT_COMPACT_WINDOW_TOKENS: u32 = 120_000;
/// How long a started CLI may take until it answers `initialize`.
pub const CLI_READY: Duration = Duration::from_secs(30);
/// How long output that the CLI left behind may be read after it has exited.
pub const CLI_OUTPUT_GRACE: Duration = Duration::from_secs(1);
/// How long running jobs may take to finish once a worker was told to stop.
pub const DRAIN_GRACE: Duration = Duration::from_secs(30);
/// How long jobs that were stopped may take to store their last words before a worker leaves without: longer
/// than a store waits for its lock, twice.
pub const LAST_WORDS: Duration = Duration::from_secs(20);
/// How long a process that ends waits for what still blocks, such as the removal of a directory.
pub const FAREWELL: Duration = Duration::from_secs(5);
/// Largest body the CLI may send to its relay, in bytes.
pub const RELAY_BODY_BYTES: usize = 32 << 20;
/// Largest error body read from a provider, in bytes.
pub const PROVIDER_ERROR_BYTES: usize = 64 << 10;
/// How much of a provider's error message a client is told, in characters.
pub const PROVIDER_MESSAGE_CHARS: usize = 1_000;
/// How long a provider may take to accept a connection.
pub const PROVIDER_CONNECT: Duration = Duration::from_secs(10);
/// Largest file of providers, or of keys, in bytes.
pub const REGISTRY_BYTES: u64 = 1 << 20;
/// Pause between two looks at whether such a file has changed.
pub const REGISTRY_LOOK: Duration = Duration::from_secs(2);
/// Calls to providers for one answer by default, the first included.
pub const PROVIDER_ATTEMPTS: u32 = 5;
/// From the first call on, how long others may follow: long enough for one more after a call whose first byte did
/// not come (`PROVIDER_FIRST_BYTE`); SDKs give up after minutes.
pub const PROVIDER_DEADLINE: Duration = Duration::from_mins(2);
/// Longest pause before everybody is asked again; doubles with each round up to the second.
pub const PROVIDER_RETRY: Duration = Duration::from_millis(500);
/// See [`PROVIDER_RETRY`].
pub const PROVIDER_RETRY_MAX: Duration = Duration::from_secs(4);
/// How long a call waits for the only key that is left and limited.
pub const PROVIDER_PATIENCE: Duration = Duration::from_secs(6);
/// Failures in a row after which a provider is left alone.
pub const PROVIDER_FAILURES: u32 = 3;
/// How long it is left alone; doubles with each time in a row up to the second.
pub const PROVIDER_REST: Duration = Duration::from_secs(10);
/// See [`PROVIDER_REST`].
pub const PROVIDER_REST_MAX: Duration = Duration::from_mins(5);
/// How long others wait for the one call that tries whether a provider or a key is back.
pub const PROVIDER_TRIAL: Duration = Duration::from_secs(30);
/// Keys of one provider.
pub const PROVIDER_KEYS: usize = 64;
/// How long a key is left out whose rate limit is reached, where the provider does not say; doubles with each time
/// in a row up to the second.
pub const KEY_REST: Duration = Duration::from_secs(5);
/// See [`KEY_REST`].
pub const KEY_REST_MAX: Duration = Duration::from_mins(2);
/// Longest time that a provider's word keeps a key out.
pub const KEY_LIMITED_MAX: Duration = Duration::from_hours(1);
/// How long a key is left out that the provider refused or does not bill; then one call tries it again, so that
/// an account that was topped up needs no restart.
pub const KEY_OUT: Duration = Duration::from_mins(10);
/// Longest silence of a provider before its answer begins, by default.
pub const PROVIDER_FIRST_BYTE: Duration = Duration::from_mins(1);
/// Calls that a provider is given at a time, by default.
pub const PROVIDER_CALLS: u32 = 256;
/// Largest weight of a route.
pub const ROUTE_WEIGHT: u32 = 10_000;
/// Highest price for a million tokens, in US dollars: a misplaced point should not go unnoticed.
pub const PRICE_USD: f64 = 10_000.0;
/// Conversations of which a worker remembers who served them, about 100 bytes each.
pub const CONVERSATIONS_REMEMBERED: usize = 20_000;
/// Longest server-sent event of a provider, in bytes.
pub const PROVIDER_EVENT_BYTES: usize = 16 << 20;
/// Pause between pings on a provider's HTTP/2 connection in use, so that one that died unseen is given up.
pub const PROVIDER_PING: Duration = Duration::from_secs(20);
/// How long a provider may take to close an answer that is whole; only its connection's reuse hangs on it.
pub const PROVIDER_TAIL: Duration = Duration::from_secs(1);
/// Longest path of a Unix socket, in bytes: `sun_path` is 108 bytes and ends with a zero (unix(7)).
pub const SOCKET_PATH_BYTES: usize = 107;
/// Connections to one relay at a time; the CLI needs one or two.
pub const RELAY_CONNECTIONS: usize = 32;
/// Calls of one job that go to the provider at a time; an agent makes one for each sub-agent at work.
pub const RELAY_CALLS: usize = 8;
/// Calls that an agent may make for one job by default: one that goes in circles has made hundreds of them.
pub const JOB_TURNS: u32 = 100;
/// Chunks of an answer that may wait for the CLI to read them; past it the provider is not read on.
pub const RELAY_BACKLOG: usize = 64;
/// Pause between the demo model's words, so that it streams as a model does.
pub const DEMO_PACE: Duration = Duration::from_millis(25);
/// How much of the user's text the demo model repeats, in characters.
pub const DEMO_ECHO_CHARS: usize = 200;
/// Output limit of a model for which the client gave none (the CLI's own default for its models).
pub const DEFAULT_OUTPUT_TOKENS: u32 = 32_000;
/// What an effort comes to for a model that is told how much to think, in tokens: with the highest, there is room
/// for an answer within [`DEFAULT_OUTPUT_TOKENS`].
pub fn thinking_tokens(effort: Effort) -> u32 {
    match effort {
        Effort::Low => 4_000,
        Effort::Medium => 10_000,
        Effort::High => 24_000,
    }
}
/// The effort that comes closest to so many tokens.
pub fn thinking_effort(tokens: u32) -> Effort {
    let levels = [Effort::Low, Effort::Medium];
    levels.into_iter().find(|effort| tokens <= thinking_tokens(*effort)).unwrap_or(Effort::High)
}
/// The least that a thinking budget may be, in tokens (Anthropic API reference, "Extended thinking").
pub const LEAST_THINKING_TOKENS: u32 = 1_024;
/// How long a process may take to end its turn once its job is over; past it, it is put away.
pub const CLI_SETTLE: Duration = Duration::from_secs(2);
/// Jobs that one chat process serves by default: measured, memory and time per call grow with what it has said.
pub const PROCESS_JOBS: u32 = 200;
/// Most bytes that one chat process prints: it repeats what it has said in every call to its relay.
pub const PROCESS_OUTPUT_BYTES: usize = 4 << 20;
/// How long one chat process serves by default.
pub const PROCESS_AGE: Duration = Duration::from_hours(1);
/// Memory of one more waiting process (measured: 93 to 110 MB, the program's own pages shared), with room.
pub const PROCESS_MEMORY_BYTES: u64 = 160 << 20;
/// Turns that a process plays before its first job. Measured, first word of that job: 53 ms after one turn, 33
/// after two, not less after more; each costs about 50 ms of a core.
pub const PRIMING_TURNS: u32 = 2;
/// How long a process waits for a job by default.
pub const SPARE_AGE: Duration = Duration::from_mins(20);
/// Agent processes that wait to be bound by default: most users chat, and each takes the memory of a process.
pub const AGENT_SPARES: u32 = 1;
/// How long an agent process waits for its session's next turn by default.
pub const RESIDENT_AGE: Duration = Duration::from_mins(10);
/// How long a job waits for its project's files while they are still in a slot that is being struck: more than
/// `SUPERVISOR_PATIENCE`, the longest that this takes.
pub const PROJECT_PATIENCE: Duration = Duration::from_secs(8);
/// Pause before it looks again.
pub const PROJECT_RETRY: Duration = Duration::from_millis(20);
/// Pause after a spare could not be started; doubles up to the second.
pub const SPARE_RETRY: Duration = Duration::from_secs(1);
/// Longest pause between attempts to start a spare.
pub const SPARE_RETRY_MAX: Duration = Duration::from_mins(1);
/// How long the start of a spare lets jobs go first that wait for their first content.
pub const SPARE_COURTESY: Duration = Duration::from_secs(2);
/// How long nobody must have waited for first content before a spare is started: the first words are on their
/// way to the client then, and many an answer is whole.
pub const SPARE_LULL: Duration = Duration::from_millis(50);
/// How long a job waits for a process of its key that is ending its turn: a few milliseconds, as a rule, and
/// less than a spare takes longer for its first job.
pub const SETTLE_COURTESY: Duration = Duration::from_millis(50);
/// The same where no spare waits: about as long as a process takes to start.
pub const SETTLE_COURTESY_COLD: Duration = Duration::from_millis(400);
/// How long a job waits for a spare that is being started before it starts a process of its own.
pub const SPARE_PATIENCE: Duration = Duration::from_secs(2);
/// How often the pool looks for processes that died or have waited too long.
pub const POOL_ROUND: Duration = Duration::from_secs(1);
/// Slots per worker by default: a CLI process takes about 100 MB and half a core while it starts.
pub const SLOTS: u32 = 4;
/// How long `claude --version` may take; a first start from a cold disk takes seconds.
pub const CLI_VERSION: Duration = Duration::from_secs(30);
/// How long a patched CLI may take for one turn on loopback; a first start from a cold disk takes seconds.
pub const CLI_SMOKE: Duration = Duration::from_mins(1);
/// How long npm may take to fetch the CLI: an executable of 380 MB, compressed, over a slow line.
pub const CLI_INSTALL: Duration = Duration::from_mins(15);
/// How much of the machine's memory slots may use together by default, in percent: the rest is for the worker,
/// the api and the system.
pub const SLOTS_MEMORY_PERCENT: u64 = 80;
/// Least memory of a slot by default, in megabytes: a CLI takes up to 300 MB, and a compiler as much again.
pub const SLOT_MEMORY_FLOOR_MB: u64 = 1_024;
/// Processes that a slot may run at once by default; a parallel build needs some dozens.
pub const SLOT_PROCESSES: u32 = 256;
/// Threads that a slot may run at once for each process that it may: the CLI itself has about twenty.
pub const SLOT_THREADS_PER_PROCESS: u64 = 32;
/// CPU time of a job by default, in seconds: four cores for as long as it may run.
pub const SLOT_CPU_SECS: u64 = 7_200;
/// Disk that a slot may fill by default, in megabytes: a few build trees.
pub const SLOT_DISK_MB: u64 = 10_240;
/// Files that a slot may hold; a large JavaScript project installs a fifth of this.
pub const SLOT_FILES: usize = 500_000;
/// How deep a slot may nest directories: looking into it holds a descriptor for each level.
pub const SLOT_DEPTH: usize = 128;
/// MCP servers that an operator may configure: each tool of each is described to the model in every call.
pub const MCP_SERVERS: usize = 32;
/// A server's name; the names of its tools, which begin with it, may have 64 at some providers.
pub const MCP_NAME_BYTES: usize = 32;
/// The file that configures them.
pub const MCP_FILE_BYTES: u64 = 1 << 20;
/// Of the arguments of an agent's tool, what is read to tell people what it does: more than any path, and most
/// commands.
pub const TOOL_INPUT_BYTES: usize = 16 << 10;
/// What people are told of it; a line.
pub const ACTIVITY_TITLE_BYTES: usize = 200;
/// Files and directories of a workspace that are looked at before and after an agent's job; a tenth of a second.
pub const INVENTORY_ENTRIES: usize = 100_000;
/// Changed files that a job tells of, and the bytes of their paths together.
pub const CHANGED_FILES: usize = 1_000;
/// See above: the list is an event, a field of the job's row and a part of its answer.
pub const CHANGED_PATHS_BYTES: usize = 64 << 10;
/// Share of the CPU that a slot's control group gets against one of weight 100, such as the worker's own.
pub const SLOT_CPU_WEIGHT: u32 = 50;
/// Pause between two looks at a process tree while a job runs programs in it. Something that allocates 5 GB a
/// second is 1 GB past its bound by then.
pub const WATCH_BUSY: Duration = Duration::from_millis(200);
/// Pause between two looks at any other process tree; cheap enough for many spares.
pub const WATCH_IDLE: Duration = Duration::from_secs(2);
/// Looks at a slot's disk that free space may talk us out of, one after the other.
pub const DISK_LOOKS_SKIPPED: u32 = 64;
/// How often a slot's directory is wiped anew when something still writes into it.
pub const WIPE_ATTEMPTS: u32 = 5;
