-- The fleet, as its heartbeats tell it.

-- One row per worker process. Ids are never used twice.
CREATE TABLE worker (
    id TEXT NOT NULL PRIMARY KEY,
    -- When it last beat.
    beat_ms INTEGER NOT NULL,
    -- 1 once it has retired or was found dead. A beat undoes it; until then it can claim nothing, and its
    -- running jobs are rescued.
    gone INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1)),
    -- Its last WorkerReport as JSON. Kept after its death: the models that the fleet last offered are read
    -- from here while no worker lives.
    report TEXT NOT NULL CHECK (json_valid(report))
) STRICT;

-- One row that is written to find out whether the database can be written to.
CREATE TABLE readiness (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    checks INTEGER NOT NULL
) STRICT;

INSERT INTO readiness (id, checks) VALUES (1, 0);
