-- Format 3. What queries look for is in columns of jobs, so that no client needs a copy of the whole site. Programs of
-- format 2 would not write them: what they read with each transaction is gone from the table of sites.
ALTER TABLE setlist.jobs
    ADD COLUMN state smallint NOT NULL DEFAULT 0, -- 0 finished, 1-3 running, 4 requested, 5 ready, 6-7 scheduled, 8 blocked
    ADD COLUMN rank bigint NOT NULL DEFAULT 0,    -- the lower the earlier: its negative priority
    ADD COLUMN position bigint NOT NULL DEFAULT 0,
    ADD COLUMN run bigint NOT NULL DEFAULT 0,     -- its last run; 0 before the first
    ADD COLUMN worker bigint NOT NULL DEFAULT 0,  -- that of its last run
    ADD COLUMN started bigint NOT NULL DEFAULT 0, -- when that started
    ADD COLUMN ended bigint,                      -- when that ended
    ADD COLUMN until bigint,
    ADD COLUMN weight bigint NOT NULL DEFAULT 1,
    ADD COLUMN flags smallint NOT NULL DEFAULT 0,
    ADD COLUMN need_state smallint NOT NULL DEFAULT 0, -- what its state means for the jobs that need it
    ADD COLUMN pending_needs integer NOT NULL DEFAULT 0,
    ADD COLUMN failed_needs integer NOT NULL DEFAULT 0,
    ADD COLUMN name text,
    ADD COLUMN unique_key text,
    ADD COLUMN labels text,        -- JSON: those that it needs, if any
    ADD COLUMN environment text,
    ADD COLUMN outcome text;       -- JSON, of a finished job

-- The needs of jobs: what 'required' means is in the code.
CREATE TABLE setlist.needs (
    site integer NOT NULL,
    needed bigint NOT NULL,
    job bigint NOT NULL,
    required smallint NOT NULL,
    PRIMARY KEY (site, needed, job, required)
);
CREATE INDEX needs_of_job ON setlist.needs (site, job);

-- How many jobs each queue has. A row is added with each transaction that changes them, and the last one counts: rows that
-- are updated thousands of times become slow to find while a snapshot is held open elsewhere, as by a backup.
CREATE TABLE setlist.queue_totals (
    site integer NOT NULL,
    queue text NOT NULL,
    seq bigint NOT NULL,
    pending bigint NOT NULL,
    running bigint NOT NULL,
    finished bigint NOT NULL,
    failed bigint NOT NULL,
    used bigint NOT NULL,          -- slots
    requested bigint NOT NULL,
    ready bigint NOT NULL,
    scheduled bigint NOT NULL,
    -- No job with this state has a lower rank and position. Where the index has many dead entries, a query starts here.
    requested_rank bigint,
    requested_position bigint,
    ready_rank bigint,
    ready_position bigint,
    PRIMARY KEY (site, queue, seq)
);

-- For the same reason, the numbers of the last ids are in the last event, and each transaction of a client has a row.
ALTER TABLE setlist.events
    ADD COLUMN job bigint NOT NULL DEFAULT 0,
    ADD COLUMN run bigint NOT NULL DEFAULT 0,
    ADD COLUMN worker bigint NOT NULL DEFAULT 0;
UPDATE setlist.events e SET job = s.job, run = s.run, worker = s.worker
    FROM setlist.sites s WHERE s.id = e.site AND s.seq = e.seq;
ALTER TABLE setlist.sites
    -- The last events that changed these. A client reads them again if it knows earlier ones.
    ADD COLUMN queues_seq bigint NOT NULL DEFAULT 0,
    ADD COLUMN workers_seq bigint NOT NULL DEFAULT 0,
    ADD COLUMN schedules_seq bigint NOT NULL DEFAULT 0,
    ADD COLUMN expectations_seq bigint NOT NULL DEFAULT 0,
    DROP COLUMN seq, DROP COLUMN job, DROP COLUMN run, DROP COLUMN worker;
ALTER TABLE setlist.clients DROP CONSTRAINT clients_pkey, ADD PRIMARY KEY (site, id, transaction);
