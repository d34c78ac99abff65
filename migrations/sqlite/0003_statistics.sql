-- Statistics for the query planner. Without any, SQLite answers the queue library's statements from an
-- index that walks through everything a worker ever did; measured, that is a third of the throughput.
-- The figures are those of a queue with 100,000 tasks behind it and 1,000 waiting.
ANALYZE;

DELETE FROM sqlite_stat1 WHERE tbl IN ('Jobs', 'Workers');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('Jobs', 'LIdx', '100000 10000'),
    ('Jobs', 'idx_jobs_status_run_at', '100000 20000 10'),
    ('Jobs', 'sqlite_autoindex_Jobs_1', '100000 1'),
    ('Jobs', 'idx_jobs_job_type_status_run_at', '100000 50000 20000 10'),
    ('Jobs', 'idx_jobs_pending', '1000 1000 1000 10 1'),
    ('Jobs', 'idx_jobs_failed', '100 100 100 10 1'),
    ('Jobs', 'idx_jobs_claimable', '1000 500 500'),
    ('Jobs', 'idx_jobs_idempotency_key', '100000 50000 1'),
    ('Workers', 'sqlite_autoindex_Workers_1', '1000 1');
