-- A job's row has its latest run too; a table of its own has those before it. The numbers of the states go the other
-- way round, and the numbers given so far stand beside the last event.
DROP INDEX jobs_by_state;
DROP INDEX jobs_by_position;
DROP INDEX jobs_by_time;
ALTER TABLE jobs RENAME TO jobs_2;
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    position INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    state INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    until INTEGER,
    outcome TEXT,
    finished INTEGER,
    needs TEXT,
    attempts INTEGER NOT NULL,
    earlier INTEGER NOT NULL,
    run INTEGER,
    worker INTEGER,
    started INTEGER,
    ended INTEGER,
    ending TEXT,
    exit_code INTEGER,
    exit_signal INTEGER,
    value TEXT,
    executed INTEGER,
    enqueued INTEGER NOT NULL,
    removed TEXT
);
INSERT INTO jobs
SELECT j.id, queue, position, rank, weight,
       CASE state WHEN 5 THEN 1 WHEN 6 THEN 2 WHEN 7 THEN 3 ELSE 8 - state END,
       flags, until, j.outcome, finished, needs, attempts, earlier,
       r.id, r.worker, r.started, r.ended, CASE WHEN r.outcome IS NOT j.outcome THEN r.outcome END,
       r.exit_code, r.exit_signal, value, executed, enqueued, removed
FROM jobs_2 j LEFT JOIN runs r ON r.job = j.id AND r.id = j.run;
DELETE FROM runs WHERE id = (SELECT run FROM jobs WHERE jobs.id = runs.job);
DROP TABLE jobs_2;
CREATE INDEX jobs_by_position ON jobs (queue, position);
CREATE INDEX jobs_by_state ON jobs (queue, state, rank, position) WHERE removed IS NULL;
CREATE INDEX jobs_by_time ON jobs (queue, state, until) WHERE until IS NOT NULL;
ALTER TABLE site RENAME TO site_2;
ALTER TABLE events RENAME TO events_2;
CREATE TABLE site (
    stamp TEXT
);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    job INTEGER NOT NULL,
    run INTEGER NOT NULL,
    worker INTEGER NOT NULL,
    body TEXT NOT NULL
);
INSERT INTO site SELECT stamp FROM site_2;
INSERT INTO events SELECT seq, 0, job, run, worker, '' FROM site_2;
DROP TABLE events_2;
DROP TABLE site_2;
