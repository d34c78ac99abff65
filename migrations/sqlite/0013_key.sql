-- API keys, what each may use, and whose turn it is.

-- One row per key. Revoked ones stay, since jobs, sessions and the ledger name them.
CREATE TABLE api_key (
    -- `key_` and 16 hexadecimal digits of the digest: the key's identifier, and the owner of all that it asks for.
    owner TEXT NOT NULL PRIMARY KEY CHECK (length(owner) = 20),
    -- What people call it.
    name TEXT NOT NULL,
    -- SHA-256 of the secret. Keys are 256 random bits, which nobody finds by trying, so that neither salt nor a slow
    -- function would add anything.
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    -- A JSON array of Scopes.
    scopes TEXT NOT NULL CHECK (json_valid(scopes)),
    -- Limits; NULL where there is none.
    requests_per_minute INTEGER CHECK (requests_per_minute >= 1),
    tokens_per_minute INTEGER CHECK (tokens_per_minute >= 1),
    concurrent_jobs INTEGER CHECK (concurrent_jobs >= 1),
    queued_jobs INTEGER CHECK (queued_jobs >= 1),
    daily_budget_microusd INTEGER CHECK (daily_budget_microusd >= 0),
    monthly_budget_microusd INTEGER CHECK (monthly_budget_microusd >= 0),
    -- Between keys: whose is higher comes first.
    priority INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    last_used_at_ms INTEGER,
    revoked_at_ms INTEGER,
    -- What is left of a minute's requests and tokens, in sixty-thousandths of one, as of `refilled_ms`; below zero where
    -- jobs have used more than was set aside for them. NULL: full.
    requests_left INTEGER,
    tokens_left INTEGER,
    refilled_ms INTEGER NOT NULL
) STRICT;

-- Counts changes of keys, so that who remembers them knows when to read them again.
CREATE TABLE key_revision (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO key_revision (id, revision) VALUES (1, 0);

-- What an owner has spent on a day in UTC, counted in days since the Unix epoch: the ledger's sums, kept up with it, so
-- that a budget is a matter of at most 31 rows.
CREATE TABLE spent (
    owner TEXT NOT NULL,
    day INTEGER NOT NULL,
    cost_microusd INTEGER NOT NULL,
    PRIMARY KEY (owner, day)
) STRICT, WITHOUT ROWID;
INSERT INTO spent (owner, day, cost_microusd)
    SELECT owner, started_at_ms / 86400000, sum(cost_microusd) FROM call GROUP BY owner, started_at_ms / 86400000;
-- By triggers, so that a call that is added twice counts once.
CREATE TRIGGER call_spends AFTER INSERT ON call WHEN NEW.cost_microusd > 0 BEGIN
    INSERT INTO spent (owner, day, cost_microusd) VALUES (NEW.owner, NEW.started_at_ms / 86400000, NEW.cost_microusd)
        ON CONFLICT (owner, day) DO UPDATE SET cost_microusd = cost_microusd + excluded.cost_microusd;
END;

-- One row per owner of jobs: what it has of the fleet, by which whose turn it is is found without looking at the jobs.
CREATE TABLE share (
    owner TEXT NOT NULL PRIMARY KEY,
    -- From the owner's key, where it has one here.
    priority INTEGER NOT NULL DEFAULT 0,
    concurrent INTEGER NOT NULL DEFAULT 2147483647,
    -- Its jobs in these states.
    queued INTEGER NOT NULL DEFAULT 0 CHECK (queued >= 0),
    running INTEGER NOT NULL DEFAULT 0 CHECK (running >= 0),
    -- When a job of it was last taken up.
    served_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Whose turn it is: of the highest priority who has least, and of those who has waited longest. Unique, so that the
-- planner knows the order to be that of owners.
CREATE UNIQUE INDEX share_turn ON share (priority DESC, running, served_ms, owner)
    WHERE queued > 0 AND running < concurrent;

INSERT INTO share (owner, queued, running)
    SELECT owner, sum(state = 'queued'), sum(state = 'running') FROM job WHERE state IN ('queued', 'running') GROUP BY owner;

-- Triggers keep the figures, so that no statement that moves a job can forget to.
CREATE TRIGGER share_added AFTER INSERT ON job WHEN NEW.state IN ('queued', 'running') BEGIN
    INSERT INTO share (owner, queued, running) VALUES (NEW.owner, NEW.state = 'queued', NEW.state = 'running')
        ON CONFLICT (owner) DO UPDATE SET queued = queued + excluded.queued, running = running + excluded.running;
END;
CREATE TRIGGER share_moved AFTER UPDATE OF state ON job WHEN OLD.state <> NEW.state BEGIN
    UPDATE share SET queued = queued - (OLD.state = 'queued') + (NEW.state = 'queued'),
                     running = running - (OLD.state = 'running') + (NEW.state = 'running')
        WHERE owner = NEW.owner;
END;
CREATE TRIGGER share_gone AFTER DELETE ON job WHEN OLD.state IN ('queued', 'running') BEGIN
    UPDATE share SET queued = queued - (OLD.state = 'queued'), running = running - (OLD.state = 'running')
        WHERE owner = OLD.owner;
END;

-- The waiting jobs of an owner in the order in which they are taken up.
CREATE INDEX job_turn ON job (owner, priority DESC, id, not_before_ms) WHERE state = 'queued';

-- Tokens of its key's minute that were set aside for the job; what it has not used goes back at its end.
ALTER TABLE job ADD COLUMN reserved_tokens INTEGER NOT NULL DEFAULT 0 CHECK (reserved_tokens >= 0);
