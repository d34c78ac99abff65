-- The ledger: what every call to a provider was billed, and what it cost.

-- One row per call to a provider, answered or not. It outlives its job, so it refers to none, and says itself
-- whose it was.
CREATE TABLE call (
    -- The job, which of its attempts, and which of the attempt's calls.
    job TEXT NOT NULL CHECK (length(job) = 36),
    attempt INTEGER NOT NULL CHECK (attempt >= 1),
    number INTEGER NOT NULL CHECK (number >= 1),
    -- Fingerprint of the API key that the job came with.
    owner TEXT NOT NULL,
    -- Where an agent's job works and what it continues.
    session TEXT,
    project TEXT,
    -- The model, as the client named it.
    model TEXT NOT NULL,
    -- Who was asked, with which of its keys (a fingerprint), and what it calls the model.
    provider TEXT NOT NULL,
    provider_key TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    started_at_ms INTEGER NOT NULL,
    -- From the call to the first byte of an answer, if there was one, and to its end.
    first_byte_ms INTEGER CHECK (first_byte_ms >= 0),
    took_ms INTEGER NOT NULL CHECK (took_ms >= 0),
    -- `answered`, `broken_off`, or the code of a failure.
    outcome TEXT NOT NULL,
    -- What was billed, in tokens; counts are disjoint but for thinking, which is part of the output.
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    thinking_tokens INTEGER NOT NULL,
    web_searches INTEGER NOT NULL,
    -- What it cost by the price that held then, in millionths of a US dollar; 0 and 1 where no price is known.
    cost_microusd INTEGER NOT NULL,
    unpriced_calls INTEGER NOT NULL,
    PRIMARY KEY (job, attempt, number)
) STRICT, WITHOUT ROWID;

-- What a key used in some time; retention deletes the oldest first.
CREATE INDEX call_owner ON call (owner, started_at_ms);
CREATE INDEX call_started ON call (started_at_ms);

-- What the worker offers, an Offer as JSON. Apart from its report because it seldom changes. Kept after its death:
-- the models that the fleet last offered are read from here while no worker lives.
ALTER TABLE worker ADD COLUMN offer TEXT CHECK (offer IS NULL OR json_valid(offer));
