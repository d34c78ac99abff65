-- Agents: where they work, what they have said there, and which worker has their workspace.

-- One row per project: a workspace. Never deleted: its files outlive jobs, sessions and workers.
CREATE TABLE project (
    -- `project_` and 32 hexadecimal digits.
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 40),
    -- Fingerprint of the API key it came with.
    owner TEXT NOT NULL,
    -- What people call it.
    name TEXT NOT NULL,
    -- The hosts that its jobs may reach: a JSON array of rules.
    network TEXT NOT NULL CHECK (json_valid(network)),
    -- The worker that has its workspace in a slot, also between jobs; nobody else may claim a job of it.
    -- Set by the claim, cleared when the worker gives the project up, retires or is found dead. Not a
    -- foreign key: the worker's row may go first.
    holder TEXT,
    created_at_ms INTEGER NOT NULL
) STRICT;

-- The projects of a worker: which it is to give up, what a dead one left behind.
CREATE INDEX project_held ON project (holder) WHERE holder IS NOT NULL;

-- One row per session: a conversation with an agent in a project, continued by one job after another.
CREATE TABLE session (
    -- `session_` and 32 hexadecimal digits.
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 40),
    -- Fingerprint of the API key it came with.
    owner TEXT NOT NULL,
    project TEXT NOT NULL REFERENCES project (id),
    -- How much its transcript holds, so that its limit is checked without reading it.
    transcript_bytes INTEGER NOT NULL DEFAULT 0 CHECK (transcript_bytes >= 0),
    -- 0 once the transcript has outgrown its limit: it is empty from then on, and the session goes on only
    -- in the process that knows it.
    whole INTEGER NOT NULL DEFAULT 1 CHECK (whole IN (0, 1)),
    created_at_ms INTEGER NOT NULL,
    -- When it was last written to.
    updated_at_ms INTEGER NOT NULL,
    CHECK (whole = 1 OR transcript_bytes = 0)
) STRICT;

-- Retention deletes the oldest first.
CREATE INDEX session_updated ON session (updated_at_ms);

-- What the CLI keeps of a session, for resuming it in another process: its own words, which nobody else reads.
CREATE TABLE transcript (
    session TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    -- The order of the entries; rises.
    seq INTEGER NOT NULL,
    -- Whose attempt wrote it: when the job is run again, what its last attempt wrote goes.
    job TEXT NOT NULL,
    -- One line of the CLI's transcript.
    entry TEXT NOT NULL,
    PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;

-- Where an agent's job works and what it continues; a chat job has neither, and is in none of the indexes.
ALTER TABLE job ADD COLUMN project TEXT REFERENCES project (id);
ALTER TABLE job ADD COLUMN session TEXT REFERENCES session (id) CHECK ((session IS NULL) = (project IS NULL));

-- One job of a project runs at a time, and one of a session. Who looks for the next job asks here.
CREATE UNIQUE INDEX job_project_running ON job (project) WHERE state = 'running' AND project IS NOT NULL;
CREATE UNIQUE INDEX job_session_running ON job (session) WHERE state = 'running' AND session IS NOT NULL;

-- The jobs that wait for a project: how many, and whether its holder is to make room.
CREATE INDEX job_project_queued ON job (project, not_before_ms) WHERE state = 'queued' AND project IS NOT NULL;

-- Whether a session has jobs left.
CREATE INDEX job_session ON job (session) WHERE session IS NOT NULL;
