-- Sessions of chats beside those of agents, and what was said in both.
--
-- SQLite neither loosens a column nor drops a table that others refer to, so a column is made anew: another one
-- beside it, the rows copied, the old one dropped, and the new one given its name.

-- A chat's session works nowhere; an agent's in its project.
ALTER TABLE session ADD COLUMN place TEXT REFERENCES project (id);
UPDATE session SET place = project;
ALTER TABLE session DROP COLUMN project;
ALTER TABLE session RENAME COLUMN place TO project;

-- What people call it.
ALTER TABLE session ADD COLUMN title TEXT NOT NULL DEFAULT '';
-- What its jobs are told where their requests do not say: the model as the client named it, and the system prompt.
ALTER TABLE session ADD COLUMN model TEXT;
ALTER TABLE session ADD COLUMN system TEXT;
-- What its history holds: messages as clients count them, and bytes, so that its limit is checked without reading it.
ALTER TABLE session ADD COLUMN message_count INTEGER NOT NULL DEFAULT 0 CHECK (message_count >= 0);
ALTER TABLE session ADD COLUMN history_bytes INTEGER NOT NULL DEFAULT 0 CHECK (history_bytes >= 0);
-- What its jobs were billed, whatever became of them: tokens in and out, and millionths of a US dollar.
ALTER TABLE session ADD COLUMN total_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN cost_microusd INTEGER NOT NULL DEFAULT 0;

-- A key's sessions, and those of a project, by age.
CREATE INDEX session_owner ON session (owner, id);
CREATE INDEX session_project ON session (project, id) WHERE project IS NOT NULL;

-- What people say of a project, and when they last changed what it is called and may reach.
ALTER TABLE project ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE project ADD COLUMN updated_at_ms INTEGER NOT NULL DEFAULT 0;
UPDATE project SET updated_at_ms = created_at_ms;
CREATE INDEX project_owner ON project (owner, id);

-- The history of a session: what its completed jobs have added, the client's new turns and the model's answer.
CREATE TABLE turn (
    session TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    -- The order of the turns; counts from 1 without a gap.
    seq INTEGER NOT NULL CHECK (seq >= 1),
    -- The job that added it. Not a foreign key: history outlives jobs.
    job TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    -- A JSON array of Parts.
    parts TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;

-- A chat's job may continue a session too, in no project. A job that has ended outlives its session.
DROP INDEX job_session_running;
DROP INDEX job_session;
ALTER TABLE job ADD COLUMN conversation TEXT REFERENCES session (id) ON DELETE SET NULL;
UPDATE job SET conversation = session WHERE session IS NOT NULL;
ALTER TABLE job DROP COLUMN session;
ALTER TABLE job RENAME COLUMN conversation TO session;

-- As before: one job of a session runs at a time, and what jobs a session has.
CREATE UNIQUE INDEX job_session_running ON job (session) WHERE state = 'running' AND session IS NOT NULL;
CREATE INDEX job_session ON job (session) WHERE session IS NOT NULL;

-- The jobs that wait for a session, in the order in which they came.
CREATE INDEX job_session_queued ON job (session, id) WHERE state = 'queued' AND session IS NOT NULL;
