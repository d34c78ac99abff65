-- On what terms a job is taken: what its client says of it besides what it is to do.

-- How its client takes the answer; of older jobs nobody knows.
ALTER TABLE job ADD COLUMN delivery TEXT NOT NULL DEFAULT 'whole' CHECK (delivery IN ('whole', 'stream', 'background'));
-- Its place among its owner's waiting jobs: -1 behind the others, 1 before them.
ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 0 CHECK (priority BETWEEN -1 AND 1);
-- When it is to be taken up at the earliest, as its client said. `not_before_ms` begins with it, and moves when an
-- attempt is given back; this one tells whether the job's time has come at all.
ALTER TABLE job ADD COLUMN run_at_ms INTEGER;
-- Its client's labels: a JSON array of texts.
ALTER TABLE job ADD COLUMN tags TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(tags));
-- The job that it repeats. Not a foreign key: either may go first.
ALTER TABLE job ADD COLUMN retry_of TEXT;

-- The key by which its client asks for it again instead of for another one, and a digest of the request, which must be the
-- same then. They go with the job.
ALTER TABLE job ADD COLUMN request_key TEXT;
ALTER TABLE job ADD COLUMN request_digest TEXT CHECK (request_key IS NULL OR request_digest IS NOT NULL);
-- How many apis have clients that wait for it under that key. The last one to lose its clients calls the job off. One
-- that dies never lets go: the job then runs to its end.
ALTER TABLE job ADD COLUMN attended INTEGER NOT NULL DEFAULT 0 CHECK (attended >= 0);
CREATE UNIQUE INDEX job_request_key ON job (owner, request_key) WHERE request_key IS NOT NULL;

-- An owner's jobs in the order of their identifiers, which is that of their age.
CREATE INDEX job_owner ON job (owner, id);

-- The queue as before. Jobs whose time has not come do not count, which the index alone tells.
DROP INDEX job_queued;
CREATE INDEX job_queued ON job (deadline_at_ms, created_at_ms, run_at_ms) WHERE state = 'queued';
