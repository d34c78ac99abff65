-- Tickets for WebSockets: who cannot send a key with the request that opens one, as a browser's page, brings one of these.
-- They are good once and for a moment, at any api.
CREATE TABLE ticket (
    -- SHA-256 of the ticket, which is 256 random bits, so that nobody who reads this table holds one.
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    -- Whose it is: so many may be good at a time.
    owner TEXT NOT NULL,
    -- SHA-256 of each key that it was asked for with, one after the other; empty where nobody needs one. The WebSocket
    -- is closed once none of them is good any more.
    keys BLOB NOT NULL CHECK (length(keys) % 32 = 0),
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Counts an owner's good ones.
CREATE INDEX ticket_owner ON ticket (owner, expires_at_ms);
-- Finds those that are over.
CREATE INDEX ticket_expiry ON ticket (expires_at_ms);
