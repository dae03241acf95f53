-- Jobs may wait for others, for a time or for a person, have a rank among the pending ones and a weight.
DROP INDEX jobs_by_state;
ALTER TABLE jobs RENAME TO jobs_1;
DROP INDEX jobs_by_position;
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
    value TEXT,
    executed INTEGER,
    enqueued INTEGER NOT NULL,
    removed TEXT
);
-- Whoever had run before had finished: nothing was tried again.
INSERT INTO jobs
SELECT id, queue, position, 0, 1, state + 3, state = 1, NULL, outcome, finished, NULL,
       attempts, attempts - (state BETWEEN 2 AND 5 AND attempts > 0), run, value, executed, enqueued, removed
FROM jobs_1;
DROP TABLE jobs_1;
CREATE INDEX jobs_by_position ON jobs (queue, position);
CREATE INDEX jobs_by_state ON jobs (queue, state, rank, position) WHERE removed IS NULL;
CREATE INDEX jobs_by_time ON jobs (queue, state, until) WHERE until IS NOT NULL;
CREATE TABLE needs (
    needed INTEGER NOT NULL,
    job INTEGER NOT NULL,
    PRIMARY KEY (needed, job)
) WITHOUT ROWID;
-- How a script is run has a record of its own.
UPDATE definitions SET rest = json_set(rest, '$.call.script', json_object(
    'program', json_extract(rest, '$.call.script.program'),
    'setup', json_remove(json_extract(rest, '$.call.script'), '$.program')
)) WHERE rest IS NOT NULL;
-- Their words have changed; whoever follows the site loads it again.
DELETE FROM events;
UPDATE site SET seq = seq + 1;
