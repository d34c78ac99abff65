-- Turns between owners are counted, and what cannot be taken up now is out of the way of whoever searches.

-- A counter instead of the time: clocks of several machines disagree, and one that is ahead would have put whom it served
-- behind everybody else for as long.
DROP INDEX share_turn;
ALTER TABLE share ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
UPDATE share SET turn = ranked.place
    FROM (SELECT owner, row_number() OVER (ORDER BY served_ms, owner) AS place FROM share WHERE served_ms > 0) AS ranked
    WHERE ranked.owner = share.owner;
ALTER TABLE share DROP COLUMN served_ms;
CREATE UNIQUE INDEX share_turn ON share (priority DESC, running, turn, owner)
    WHERE queued > 0 AND running < concurrent;
-- Where the counter stands.
CREATE INDEX share_last ON share (turn);

-- 1 while a waiting job's `not_before_ms` has not come, as far as anybody has noticed: whoever claims next after it has come
-- sets it to 0.
ALTER TABLE job ADD COLUMN postponed INTEGER NOT NULL DEFAULT 0 CHECK (postponed IN (0, 1));
UPDATE job SET postponed = 1 WHERE state = 'queued' AND not_before_ms > created_at_ms;
CREATE INDEX job_postponed ON job (not_before_ms) WHERE state = 'queued' AND postponed = 1;

-- The waiting jobs of an owner in the order in which they are taken up: a job is in one of the two, so that a worker that
-- leaves agents to others does not walk over their jobs.
DROP INDEX job_turn;
CREATE INDEX job_turn_chat ON job (owner, priority DESC, id, not_before_ms)
    WHERE state = 'queued' AND postponed = 0 AND project IS NULL;
CREATE INDEX job_turn_agent ON job (owner, priority DESC, id, not_before_ms)
    WHERE state = 'queued' AND postponed = 0 AND project IS NOT NULL;

-- What was spent longer ago than any budget looks back goes.
CREATE INDEX spent_day ON spent (day);
