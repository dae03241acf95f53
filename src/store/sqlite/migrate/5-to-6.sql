-- The values that users have given for the inputs of queues.
ALTER TABLE queues ADD COLUMN inputs TEXT;
ALTER TABLE jobs ADD COLUMN inputs TEXT;
-- What the sources of jobs were at their last success.
ALTER TABLE jobs ADD COLUMN success TEXT;
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
