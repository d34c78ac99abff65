-- The request that a job was made of and the trace that it is part of, for the logs of whoever runs it: a `req_…` and a
-- `traceparent` (W3C Trace Context). Jobs of older versions have neither.
ALTER TABLE job ADD COLUMN request TEXT;
ALTER TABLE job ADD COLUMN trace TEXT CHECK (trace IS NULL OR length(trace) = 55);
