-- Format 8. Times are nanoseconds since 1970 in UTC, which SQLite compares and keeps exactly.

-- Starting and ending a job writes few pages: a row each of `jobs` and `events`, and the index by state, in which
-- finished, running and next jobs are adjacent.

-- One row: the version of jobs.yaml in effect, and its pools.
CREATE TABLE site (
    stamp TEXT,
    pools TEXT              -- JSON: the size of each; NULL is none
);
INSERT INTO site VALUES (NULL, NULL);

CREATE TABLE queues (
    id TEXT PRIMARY KEY,
    settings TEXT NOT NULL, -- JSON
    mode TEXT NOT NULL,     -- JSON
    environment INTEGER,    -- of the user who has requested that it is processed; the file is in `environments`
    inputs TEXT             -- JSON: the values that the user has given for its inputs; secrets are null
) WITHOUT ROWID;

CREATE TABLE workers (
    id INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    queues TEXT,            -- JSON; NULL is all
    reserved TEXT           -- JSON: the pending jobs that it may start at any moment; NULL is none
);

-- The changing state of jobs. Their definitions, which are long and rarely written, are in `definitions`.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    position INTEGER NOT NULL,
    rank INTEGER NOT NULL,  -- lower goes first: the negative of its priority
    weight INTEGER NOT NULL,
    state INTEGER NOT NULL, -- 0 finished; 1 running, 2 told to stop, 3 to be killed; pending: 4 asked for, 5 ready,
                            -- 6 waits for a time and asked for, 7 waits for a time, 8 held
    flags INTEGER NOT NULL, -- sum of 1 asked for, 2 needs others, 4 waits for approval, 8 forced
    until INTEGER,          -- pending, and not before this
    outcome TEXT,           -- JSON, when finished
    finished INTEGER,
    pending_needs INTEGER NOT NULL DEFAULT 0, -- how many of its needs have not finished
    failed_needs INTEGER NOT NULL DEFAULT 0,  -- how many of them finished otherwise than required, or were removed
    attempts INTEGER NOT NULL, -- the number of the latest
    earlier INTEGER NOT NULL, -- how many of them were over when it became pending anew
    run INTEGER,            -- the latest, with all that is known of it
    worker INTEGER,
    started INTEGER,
    ended INTEGER,
    ending TEXT,            -- JSON: its outcome, where that is not the job's
    exit_code INTEGER,
    exit_signal INTEGER,
    value TEXT,             -- JSON; NULL is no value
    executed INTEGER,
    enqueued INTEGER NOT NULL,
    approval TEXT,          -- JSON: who approved or refused it since it became pending
    run_approval TEXT,      -- JSON: who approved the latest run
    run_inputs TEXT,        -- JSON: what the latest run got besides its definition
    unique_key TEXT,        -- that only one pending or running job has
    cause TEXT,             -- JSON: why the latest run failed
    usage TEXT,             -- JSON: what the latest run used
    success TEXT,           -- JSON: its last success, and what its sources were before that run started
    stalled INTEGER,        -- since when it has printed nothing, while it is stalled
    removed TEXT,           -- JSON: by whom it was taken out of its queue
    environment INTEGER,    -- of the user who has requested it
    inputs TEXT,            -- JSON: the values that the user has given for the inputs of its queue
    has_failed INTEGER GENERATED ALWAYS AS (
        state = 0 AND coalesce(
            outcome = '"interrupted"' OR outcome GLOB '{"failed"*' OR outcome GLOB '{"unreachable"*', FALSE
        )
    ) VIRTUAL
);
CREATE INDEX jobs_by_position ON jobs (queue, position);
CREATE INDEX jobs_by_state ON jobs (queue, state, rank, position) WHERE removed IS NULL;
-- The finished jobs in the order of lists, and of retention.
CREATE INDEX jobs_by_end ON jobs (queue, finished, run) WHERE state = 0 AND removed IS NULL;
CREATE INDEX jobs_by_time ON jobs (queue, state, until) WHERE until IS NOT NULL;
CREATE INDEX jobs_by_key ON jobs (unique_key) WHERE unique_key IS NOT NULL;
CREATE INDEX jobs_removed ON jobs (environment) WHERE removed IS NOT NULL AND environment IS NOT NULL;
-- The few pending jobs that say why a queue waits: those that need approval, and those that have failed.
CREATE INDEX jobs_unconfirmed ON jobs (queue, rank, position) WHERE state > 3 AND flags & 4 AND removed IS NULL;
CREATE INDEX jobs_failed_pending ON jobs (queue, rank, position)
    WHERE state > 3 AND ending GLOB '{"failed"*' AND removed IS NULL;

-- How many jobs of each queue are in each phase. The triggers keep it.
CREATE TABLE job_counts (
    queue TEXT PRIMARY KEY,
    pending INTEGER NOT NULL,
    running INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    failed INTEGER NOT NULL -- how many of the finished ones failed or were interrupted
) WITHOUT ROWID;
CREATE TRIGGER jobs_count_added AFTER INSERT ON jobs WHEN new.removed IS NULL BEGIN
    INSERT INTO job_counts VALUES (new.queue, new.state > 3, new.state BETWEEN 1 AND 3, new.state = 0, new.has_failed)
        ON CONFLICT (queue) DO UPDATE SET pending = pending + excluded.pending, running = running + excluded.running,
            finished = finished + excluded.finished, failed = failed + excluded.failed;
END;
CREATE TRIGGER jobs_count_changed AFTER UPDATE OF state, outcome ON jobs
WHEN new.queue = old.queue AND new.removed IS NULL AND old.removed IS NULL
    AND ((new.state > 3) <> (old.state > 3) OR (new.state = 0) <> (old.state = 0) OR new.has_failed <> old.has_failed)
BEGIN
    UPDATE job_counts SET
        pending = pending + (new.state > 3) - (old.state > 3),
        running = running + (new.state BETWEEN 1 AND 3) - (old.state BETWEEN 1 AND 3),
        finished = finished + (new.state = 0) - (old.state = 0),
        failed = failed + new.has_failed - old.has_failed
    WHERE queue = new.queue;
END;
CREATE TRIGGER jobs_count_moved AFTER UPDATE OF queue, removed ON jobs
WHEN new.queue <> old.queue OR (new.removed IS NULL) <> (old.removed IS NULL) BEGIN
    UPDATE job_counts SET pending = pending - (old.state > 3), running = running - (old.state BETWEEN 1 AND 3),
        finished = finished - (old.state = 0), failed = failed - old.has_failed
    WHERE queue = old.queue AND old.removed IS NULL;
    INSERT INTO job_counts
        SELECT new.queue, new.state > 3, new.state BETWEEN 1 AND 3, new.state = 0, new.has_failed
        WHERE new.removed IS NULL
        ON CONFLICT (queue) DO UPDATE SET pending = pending + excluded.pending, running = running + excluded.running,
            finished = finished + excluded.finished, failed = failed + excluded.failed;
END;
CREATE TRIGGER jobs_count_deleted AFTER DELETE ON jobs WHEN old.removed IS NULL BEGIN
    UPDATE job_counts SET pending = pending - (old.state > 3), running = running - (old.state BETWEEN 1 AND 3),
        finished = finished - (old.state = 0), failed = failed - old.has_failed
    WHERE queue = old.queue;
END;

-- Dependencies between jobs.
CREATE TABLE needs (
    needed INTEGER NOT NULL,
    job INTEGER NOT NULL,
    required INTEGER NOT NULL, -- 0 success, 1 failure, 2 any end
    PRIMARY KEY (needed, job, required)
) WITHOUT ROWID;

CREATE TABLE definitions (
    job INTEGER PRIMARY KEY,
    name TEXT,
    title TEXT NOT NULL,
    digest INTEGER,
    run TEXT,
    command TEXT, -- JSON: a list of words
    rest TEXT,    -- JSON: the definition without what stands in the other columns; NULL when nothing is left
    needs TEXT    -- the jobs that it needs: `12 13f 14a`, of which #13 has to fail, and #14 to end; NULL is none
);
CREATE INDEX definitions_by_name ON definitions (name) WHERE name IS NOT NULL;

-- All runs of a job except its last.
CREATE TABLE runs (
    job INTEGER NOT NULL,
    id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    worker INTEGER NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    outcome TEXT, -- JSON
    exit_code INTEGER,
    exit_signal INTEGER,
    value TEXT, -- JSON; NULL is no value
    approval TEXT, -- JSON
    inputs TEXT, -- JSON
    cause TEXT, -- JSON
    usage TEXT, -- JSON
    PRIMARY KEY (job, id)
) WITHOUT ROWID;

-- The output of runs that have printed little: what was in the files of their logs.
CREATE TABLE outputs (
    run INTEGER PRIMARY KEY,
    head BLOB NOT NULL,
    marks BLOB, -- NULL if there was no such file
    sizes BLOB
);

-- Schedules, and what became of each of their due times. A schedule that was removed leaves its due times.
CREATE TABLE schedules (
    target TEXT PRIMARY KEY, -- JSON: the queue or the job
    state TEXT NOT NULL      -- JSON
) WITHOUT ROWID;
-- By when queues and jobs should have succeeded.
CREATE TABLE expectations (
    target TEXT PRIMARY KEY, -- JSON: the queue or the job
    state TEXT NOT NULL      -- JSON
) WITHOUT ROWID;
CREATE TABLE due_times (
    target TEXT NOT NULL,    -- JSON
    due INTEGER NOT NULL,
    start INTEGER NOT NULL,  -- when it had to start: the due time and its jitter
    at INTEGER NOT NULL,     -- when it was decided
    result TEXT NOT NULL,    -- JSON
    outcome TEXT,            -- JSON: how its run ended; NULL if it has not ended
    earlier INTEGER NOT NULL, -- for how many due times before it the row stands, too
    PRIMARY KEY (target, due)
) WITHOUT ROWID;

-- Recent events, for followers. The last row also holds the counters, so there is always one; the first is no event.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    job INTEGER NOT NULL,
    run INTEGER NOT NULL,
    worker INTEGER NOT NULL,
    body TEXT NOT NULL -- JSON
);
INSERT INTO events VALUES (0, 0, 0, 0, 0, '');
