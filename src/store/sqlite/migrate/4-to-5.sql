-- Work has the environment of the user who has requested it.
ALTER TABLE queues ADD COLUMN environment INTEGER;
ALTER TABLE jobs ADD COLUMN environment INTEGER;
CREATE INDEX jobs_removed ON jobs (environment) WHERE removed IS NOT NULL AND environment IS NOT NULL;
-- Queues and jobs may have schedules.
CREATE TABLE schedules (
    target TEXT PRIMARY KEY,
    state TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE due_times (
    target TEXT NOT NULL,
    due INTEGER NOT NULL,
    start INTEGER NOT NULL,
    at INTEGER NOT NULL,
    result TEXT NOT NULL,
    outcome TEXT,
    earlier INTEGER NOT NULL,
    PRIMARY KEY (target, due)
) WITHOUT ROWID;
-- Each run keeps its value.
ALTER TABLE runs ADD COLUMN value TEXT;
-- Who approved jobs and their runs.
ALTER TABLE jobs ADD COLUMN approval TEXT;
ALTER TABLE jobs ADD COLUMN run_approval TEXT;
ALTER TABLE runs ADD COLUMN approval TEXT;
-- What runs got, the pools of the site, and unique keys.
ALTER TABLE site ADD COLUMN pools TEXT;
ALTER TABLE jobs ADD COLUMN run_inputs TEXT;
ALTER TABLE jobs ADD COLUMN unique_key TEXT;
ALTER TABLE runs ADD COLUMN inputs TEXT;
CREATE INDEX jobs_by_key ON jobs (unique_key) WHERE unique_key IS NOT NULL;
-- Why runs failed and what they used.
ALTER TABLE jobs ADD COLUMN cause TEXT;
ALTER TABLE jobs ADD COLUMN usage TEXT;
ALTER TABLE runs ADD COLUMN cause TEXT;
ALTER TABLE runs ADD COLUMN usage TEXT;
-- Queues and jobs may be expected to succeed in time, and their runs to print something.
CREATE TABLE expectations (
    target TEXT PRIMARY KEY,
    state TEXT NOT NULL
) WITHOUT ROWID;
ALTER TABLE jobs ADD COLUMN stalled INTEGER;
-- A job that waits for a time and for approval now waits for the time first.
UPDATE jobs SET state = CASE WHEN flags & 1 THEN 6 ELSE 7 END WHERE state = 8 AND until IS NOT NULL AND NOT flags & 2;
