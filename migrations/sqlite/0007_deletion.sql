-- Projects that are deleted. Nobody sees one any more from that moment on; the row stays until the worker that holds
-- it has let go, and its files are removed.

ALTER TABLE project ADD COLUMN deleted_at_ms INTEGER;

-- Those whose files are still to be removed.
CREATE INDEX project_deleted ON project (deleted_at_ms) WHERE deleted_at_ms IS NOT NULL;

-- The jobs of a project, which outlive it and then belong to none.
CREATE INDEX job_project ON job (project) WHERE project IS NOT NULL;
