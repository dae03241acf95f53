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
-- The values that users have given for the inputs of queues.
ALTER TABLE queues ADD COLUMN inputs TEXT;
ALTER TABLE jobs ADD COLUMN inputs TEXT;
-- Why runs failed and what they used.
ALTER TABLE jobs ADD COLUMN cause TEXT;
ALTER TABLE jobs ADD COLUMN usage TEXT;
ALTER TABLE runs ADD COLUMN cause TEXT;
ALTER TABLE runs ADD COLUMN usage TEXT;
-- What the sources of jobs were at their last success.
ALTER TABLE jobs ADD COLUMN success TEXT;
-- Queues and jobs may be expected to succeed in time, and their runs to print something.
CREATE TABLE expectations (
    target TEXT PRIMARY KEY,
    state TEXT NOT NULL
) WITHOUT ROWID;
ALTER TABLE jobs ADD COLUMN stalled INTEGER;
-- A job that waits for a time and for approval now waits for the time first.
UPDATE jobs SET state = CASE WHEN flags & 1 THEN 6 ELSE 7 END WHERE state = 8 AND until IS NOT NULL AND NOT flags & 2;
-- How many needs of each job are not met. The long list of its needs is rarely written.
ALTER TABLE definitions ADD COLUMN needs TEXT;
ALTER TABLE jobs ADD COLUMN pending_needs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN failed_needs INTEGER NOT NULL DEFAULT 0;
UPDATE definitions SET needs = listed.needs FROM (
    SELECT jobs.id AS job, group_concat(
        (each.value ->> 'job') || CASE each.value ->> 'on' WHEN 'failure' THEN 'f' WHEN 'finish' THEN 'a' ELSE '' END,
        ' ' ORDER BY each.key
    ) AS needs FROM jobs, json_each(jobs.needs) AS each GROUP BY jobs.id
) AS listed WHERE definitions.job = listed.job;
DROP TABLE needs;
CREATE TABLE needs (
    needed INTEGER NOT NULL,
    job INTEGER NOT NULL,
    required INTEGER NOT NULL,
    PRIMARY KEY (needed, job, required)
) WITHOUT ROWID;
INSERT OR IGNORE INTO needs (needed, job, required)
    SELECT each.value ->> 'job', jobs.id, CASE each.value ->> 'on' WHEN 'failure' THEN 1 WHEN 'finish' THEN 2 ELSE 0 END
    FROM jobs, json_each(jobs.needs) AS each;
ALTER TABLE jobs DROP COLUMN needs;
UPDATE jobs SET pending_needs = counted.pending, failed_needs = counted.unmet - counted.pending FROM (
    SELECT edge.job AS job, count(*) FILTER (WHERE needed.state > 0 AND needed.removed IS NULL) AS pending,
        count(*) FILTER (WHERE NOT coalesce(needed.state = 0 AND CASE edge.required
            WHEN 0 THEN needed.outcome = '"succeeded"'
            WHEN 1 THEN needed.outcome = '"interrupted"' OR needed.outcome GLOB '{"failed"*'
                OR needed.outcome GLOB '{"unreachable"*'
            ELSE TRUE
        END, FALSE)) AS unmet
    FROM needs AS edge LEFT JOIN jobs AS needed ON needed.id = edge.needed GROUP BY edge.job
) AS counted WHERE jobs.id = counted.job;
-- Jobs are found by their name.
CREATE INDEX definitions_by_name ON definitions (name) WHERE name IS NOT NULL;
