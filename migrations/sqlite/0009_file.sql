-- Files that clients have uploaded.

-- One row per file.
CREATE TABLE file (
    -- `file-` and 32 hexadecimal digits.
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 37),
    -- Fingerprint of the API key it came with.
    owner TEXT NOT NULL,
    -- 0 while it is coming in: nobody sees it.
    whole INTEGER NOT NULL DEFAULT 0 CHECK (whole IN (0, 1)),
    -- What its client calls it, and what it is for.
    name TEXT NOT NULL DEFAULT '',
    purpose TEXT NOT NULL DEFAULT '',
    -- How much of it is here.
    bytes INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    created_at_ms INTEGER NOT NULL,
    -- From when on it is not there any more.
    expires_at_ms INTEGER
) STRICT;

-- Lists are pages of an owner's files in the order of their identifiers, which is that of their age; what an owner's
-- files hold together is added up in the index alone.
CREATE INDEX file_owner ON file (owner, id, bytes);

-- What is to go: what has expired, and what was begun and never finished.
CREATE INDEX file_expires ON file (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX file_unfinished ON file (created_at_ms) WHERE whole = 0;

-- What a file holds: pieces of a megabyte, so that nobody has to hold all of it.
CREATE TABLE piece (
    file TEXT NOT NULL REFERENCES file (id) ON DELETE CASCADE,
    -- Counts from 0.
    number INTEGER NOT NULL CHECK (number >= 0),
    content BLOB NOT NULL,
    PRIMARY KEY (file, number)
) STRICT;
