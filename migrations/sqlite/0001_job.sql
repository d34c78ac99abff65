-- Jobs, what they ask for, and what happened in them.
--
-- SQLite compares names without regard to case, and the queue library owns `Jobs` and `Workers`: our
-- tables are singular. Times are milliseconds since the Unix epoch, in columns that end in `_ms`.

-- One row per job: the truth about it. The queue library's task is no more than a wake-up.
CREATE TABLE job (
    -- `job_` and 32 hexadecimal digits; also the idempotency key of the job's task.
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    -- Fingerprint of the API key it came with.
    owner TEXT NOT NULL,
    -- The states are those of the enum JobState; a test compares the two lists.
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'failed', 'cancelled', 'expired')),
    -- The model, as the client named it.
    model TEXT NOT NULL,
    -- How many attempts were begun, and how many it has.
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    max_attempts INTEGER NOT NULL CHECK (max_attempts >= 1),
    -- The worker that runs it or ran it last. Not a foreign key: the row outlives the worker's.
    worker TEXT,
    -- The token of who may write: held exactly while the job runs.
    lease TEXT,
    -- The task (`Jobs.id`) that wakes a worker for it, or that the running attempt was claimed with.
    task TEXT NOT NULL,
    -- Not to be claimed before; the task's own `run_at` knows whole seconds only.
    not_before_ms INTEGER NOT NULL DEFAULT 0,
    -- Why a running job is to stop; its worker ends it.
    cancel_reason TEXT CHECK (cancel_reason IN ('requested', 'client_gone')),
    created_at_ms INTEGER NOT NULL,
    -- When it expires if it still waits then.
    deadline_at_ms INTEGER NOT NULL,
    -- When the last attempt began.
    started_at_ms INTEGER,
    finished_at_ms INTEGER,
    -- Why it failed, and what was billed: JSON, set when it ends.
    failure TEXT CHECK (failure IS NULL OR json_valid(failure)),
    usage TEXT CHECK (usage IS NULL OR json_valid(usage)),
    CHECK ((state = 'running') = (lease IS NOT NULL)),
    CHECK ((state IN ('queued', 'running')) = (finished_at_ms IS NULL)),
    CHECK ((state IN ('queued', 'running')) = (usage IS NULL)),
    CHECK ((state = 'failed') = (failure IS NOT NULL))
) STRICT;

-- The queue: its depth and oldest job are counted in the index alone, expiry is a range of it.
CREATE INDEX job_queued ON job (deadline_at_ms, created_at_ms) WHERE state = 'queued';

-- The jobs of a worker: what was called off, what a dead worker left behind.
CREATE INDEX job_running ON job (worker, cancel_reason) WHERE state = 'running';

-- Retention deletes the oldest first.
CREATE INDEX job_finished ON job (finished_at_ms) WHERE finished_at_ms IS NOT NULL;

-- What a job asks for. Apart from `job` because SQLite rewrites a whole row at each change of it, and a
-- conversation may be megabytes.
CREATE TABLE spec (
    job TEXT NOT NULL PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
    -- A JobSpec as JSON.
    body TEXT NOT NULL
) STRICT;

-- What happened in a job: one row per write of a worker, which carries one event or several.
CREATE TABLE chunk (
    job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    -- Sequence numbers of the chunk's last and first event. They rise by one across chunks and attempts.
    seq INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    -- Which attempt wrote it; 0 for a job that ended before its first.
    attempt INTEGER NOT NULL CHECK (attempt >= 0),
    -- Whether it holds anything of the model's: such a job is never run again by itself.
    speaks INTEGER NOT NULL CHECK (speaks IN (0, 1)),
    -- A JSON array of Events.
    events TEXT NOT NULL,
    CHECK (first_seq BETWEEN 1 AND seq),
    -- By the last sequence number: "after n" is then one range of the key, and the first chunk of the
    -- range is the only one that may hold events up to n.
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;
