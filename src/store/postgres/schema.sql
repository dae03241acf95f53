-- Format 1. The state of sites, a row for each queue, job, run and so on. Bodies are JSON as text: `jsonb` can't hold every
-- string, and doesn't keep the order of keys. Names of queues and targets are JSON, too. Times in columns are nanoseconds
-- since 1970 in UTC.
CREATE SCHEMA setlist;
CREATE TABLE setlist.format (version integer NOT NULL);
INSERT INTO setlist.format VALUES (1);

CREATE TABLE setlist.sites (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    seq bigint NOT NULL DEFAULT 0,
    job bigint NOT NULL DEFAULT 0,
    run bigint NOT NULL DEFAULT 0,
    worker bigint NOT NULL DEFAULT 0,
    generation bigint NOT NULL DEFAULT 0, -- counts deletions without an event: then copies are loaded again
    file_version text,                    -- JSON
    pools text                            -- JSON
) WITH (fillfactor = 50);

CREATE TABLE setlist.queues (
    site integer NOT NULL,
    id text NOT NULL,
    settings text NOT NULL,
    mode text NOT NULL,
    environment text,
    inputs text,                          -- JSON: the values given for its inputs
    PRIMARY KEY (site, id)
);

CREATE TABLE setlist.workers (
    site integer NOT NULL,
    id bigint NOT NULL,
    body text NOT NULL,
    renewed timestamptz NOT NULL DEFAULT clock_timestamp(), -- its lease
    overdue timestamptz,                                    -- since when its lease is known to have run out
    PRIMARY KEY (site, id)
);

CREATE TABLE setlist.jobs (
    site integer NOT NULL,
    id bigint NOT NULL,
    queue text NOT NULL,
    removed text,             -- JSON: why it was removed from its queue
    settled bigint NOT NULL,  -- when it finished or was added
    body text NOT NULL,
    PRIMARY KEY (site, id)
) WITH (fillfactor = 80);
CREATE INDEX jobs_removed ON setlist.jobs (site, queue, settled) WHERE removed IS NOT NULL;

-- All runs of a job except its last.
CREATE TABLE setlist.runs (
    site integer NOT NULL,
    job bigint NOT NULL,
    id bigint NOT NULL,
    ended bigint,
    body text NOT NULL,
    value text,
    PRIMARY KEY (site, job, id)
);

CREATE TABLE setlist.schedules (
    site integer NOT NULL,
    target text NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (site, target)
);

CREATE TABLE setlist.expectations (
    site integer NOT NULL,
    target text NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (site, target)
);

CREATE TABLE setlist.due_times (
    site integer NOT NULL,
    target text NOT NULL,
    due bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (site, target, due)
);

-- Recent events, for followers.
CREATE TABLE setlist.events (
    site integer NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (site, seq)
);

-- The output of runs, in parts of one origin; `at` is 0 where the time is unknown.
CREATE TABLE setlist.output (
    site integer NOT NULL,
    run bigint NOT NULL,
    at_offset bigint NOT NULL,
    stream smallint NOT NULL, -- 0 standard output, 1 standard error
    at bigint NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (site, run, at_offset)
);
CREATE TABLE setlist.output_ends (
    site integer NOT NULL,
    run bigint NOT NULL,
    length bigint NOT NULL,
    PRIMARY KEY (site, run)
);

-- The number of the last transaction of each connection. A client whose connection broke during a commit finds out from
-- it whether that has happened.
CREATE TABLE setlist.clients (
    site integer NOT NULL,
    id text NOT NULL,
    transaction bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (site, id)
) WITH (fillfactor = 50);
