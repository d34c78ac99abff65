-- What an agent's job has done to the files of its project, as JSON (`schema::changes`); NULL until it has ended, and
-- for all other jobs. It is told with the job, so it stands beside its usage.
ALTER TABLE job ADD COLUMN changes TEXT;
