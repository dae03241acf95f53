-- The finished jobs in the order of lists, and of retention.
CREATE INDEX jobs_by_end ON jobs (queue, finished, run) WHERE state = 0 AND removed IS NULL;
-- The output of runs that have printed little: what was in the files of their logs.
CREATE TABLE outputs (
    run INTEGER PRIMARY KEY,
    head BLOB NOT NULL,
    marks BLOB,
    sizes BLOB
);
