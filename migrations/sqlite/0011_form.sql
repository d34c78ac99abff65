-- How an answer is told is kept with every job now, so that it can be asked for by the job. Whether its client stores it,
-- to be listed and read for long, is said beside.
ALTER TABLE kept ADD COLUMN stored INTEGER NOT NULL DEFAULT 1 CHECK (stored IN (0, 1));

-- Both lists are of what clients store.
DROP INDEX kept_owner;
CREATE INDEX kept_owner ON kept (owner, dialect, job) WHERE stored = 1;
DROP INDEX kept_created;
CREATE INDEX kept_created ON kept (created_at_ms) WHERE stored = 1;
