-- Format 1. Times are nanoseconds since 1970 in UTC, which SQLite compares and keeps exactly.

-- One row: the numbers given so far, and the version of jobs.yaml that is in force.
CREATE TABLE site (
    seq INTEGER NOT NULL,
    job INTEGER NOT NULL,
    run INTEGER NOT NULL,
    worker INTEGER NOT NULL,
    stamp TEXT
);
INSERT INTO site VALUES (0, 0, 0, 0, NULL);

CREATE TABLE queues (
    id TEXT PRIMARY KEY,
    settings TEXT NOT NULL, -- JSON
    mode TEXT NOT NULL      -- JSON
) WITHOUT ROWID;

CREATE TABLE workers (
    id INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    queues TEXT             -- JSON; NULL is all
);

-- What changes as a job goes its way. What it is, the long part, is in `definitions` and seldom written.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    position INTEGER NOT NULL,
    state INTEGER NOT NULL, -- 0 pending, 1 pending and asked for, 2 running, 3 told to stop, 4 to be killed, 5 finished
    outcome TEXT,           -- JSON, when finished
    finished INTEGER,
    attempts INTEGER NOT NULL,
    run INTEGER,            -- the latest
    value TEXT,             -- JSON; NULL is no value
    executed INTEGER,
    enqueued INTEGER NOT NULL,
    removed TEXT            -- JSON: by whom it was taken out of its queue
);
CREATE INDEX jobs_by_position ON jobs (queue, position);
CREATE INDEX jobs_by_state ON jobs (queue, state, position) WHERE removed IS NULL;

CREATE TABLE definitions (
    job INTEGER PRIMARY KEY,
    name TEXT,
    title TEXT NOT NULL,
    digest INTEGER,
    run TEXT,
    command TEXT, -- JSON: a list of words
    rest TEXT     -- JSON: the definition without what stands in the other columns; NULL when nothing is left
);

CREATE TABLE runs (
    job INTEGER NOT NULL,
    id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    worker INTEGER NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    outcome TEXT, -- JSON, when ended
    exit_code INTEGER,
    exit_signal INTEGER,
    PRIMARY KEY (job, id)
) WITHOUT ROWID;

-- What has happened last, for those who follow.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    body TEXT NOT NULL -- JSON
);
