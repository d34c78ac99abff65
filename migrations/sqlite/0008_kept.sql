-- Answers that are kept for their clients when their jobs' time is up.

-- One row per answer that its client wants kept. It counts once its job is completed; the conversation is the job's
-- own spec and events.
CREATE TABLE kept (
    job TEXT NOT NULL PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
    -- The job's owner, and the dialect that the answer is told in.
    owner TEXT NOT NULL,
    dialect TEXT NOT NULL,
    -- What the dialect has to know to tell it again; opaque.
    form TEXT NOT NULL,
    -- The client's labels: a JSON object of strings.
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    created_at_ms INTEGER NOT NULL
) STRICT;

-- Lists are pages of an owner's answers in the order of their jobs' identifiers, which is that of their age.
CREATE INDEX kept_owner ON kept (owner, dialect, job);

-- The oldest are forgotten first.
CREATE INDEX kept_created ON kept (created_at_ms);

-- Whether retention passes the job over: 1 from the request on where its answer is to be kept, 0 again when it ends
-- without one, and when the answer is forgotten.
ALTER TABLE job ADD COLUMN kept INTEGER NOT NULL DEFAULT 0 CHECK (kept IN (0, 1));

-- Retention deletes the oldest first, and does not look at those that are kept.
DROP INDEX job_finished;
CREATE INDEX job_finished ON job (finished_at_ms) WHERE finished_at_ms IS NOT NULL AND kept = 0;
