-- After the columns of jobs were filled.
UPDATE setlist.jobs j SET pending_needs = c.pending, failed_needs = c.failed
    FROM (
        SELECT n.site, n.job,
            count(*) FILTER (WHERE k.need_state = 1) AS pending,
            count(*) FILTER (WHERE coalesce(k.need_state, 0) = 0 OR (k.need_state > 1 AND k.need_state != n.required + 2
                AND n.required != 2)) AS failed
        FROM setlist.needs n LEFT JOIN setlist.jobs k ON k.site = n.site AND k.id = n.needed
        GROUP BY n.site, n.job
    ) c
    WHERE j.site = c.site AND j.id = c.job AND (c.pending, c.failed) != (0, 0);
INSERT INTO setlist.queue_totals
    SELECT j.site, j.queue,
        (SELECT coalesce(max(e.seq), 0) FROM setlist.events e WHERE e.site = j.site),
        count(*) FILTER (WHERE state >= 4), count(*) FILTER (WHERE state BETWEEN 1 AND 3), count(*) FILTER (WHERE state = 0),
        count(*) FILTER (WHERE state = 0 AND need_state = 3),
        coalesce(sum(weight) FILTER (WHERE state BETWEEN 1 AND 3), 0),
        count(*) FILTER (WHERE state = 4), count(*) FILTER (WHERE state = 5), count(*) FILTER (WHERE state IN (6, 7))
    FROM setlist.jobs j WHERE removed IS NULL GROUP BY j.site, j.queue;
CREATE INDEX jobs_pending ON setlist.jobs (site, queue, state, rank, position, id) WHERE state >= 4 AND removed IS NULL;
CREATE INDEX jobs_running ON setlist.jobs (site, worker, run) WHERE state BETWEEN 1 AND 3 AND removed IS NULL;
CREATE INDEX jobs_finished ON setlist.jobs (site, queue, settled, run, id) WHERE state = 0 AND removed IS NULL;
CREATE INDEX jobs_by_run ON setlist.jobs (site, run) WHERE run > 0 AND removed IS NULL;
CREATE INDEX jobs_by_position ON setlist.jobs (site, queue, position, id);
CREATE INDEX jobs_scheduled ON setlist.jobs (site, until) WHERE state IN (6, 7) AND removed IS NULL;
CREATE INDEX jobs_named ON setlist.jobs (site, name) WHERE name IS NOT NULL;
CREATE INDEX jobs_unique ON setlist.jobs (site, unique_key) WHERE unique_key IS NOT NULL AND state > 0;
CREATE INDEX jobs_in_file ON setlist.jobs (site, queue) WHERE flags & 16 != 0;
CREATE INDEX jobs_unconfirmed ON setlist.jobs (site, queue) WHERE flags & 4 != 0;
CREATE INDEX jobs_failed_pending ON setlist.jobs (site, queue) WHERE flags & 32 != 0;
CREATE INDEX jobs_requested ON setlist.jobs (site, queue) WHERE flags & 1 != 0;
CREATE INDEX jobs_with_pools ON setlist.jobs (site) WHERE flags & 64 != 0;
CREATE INDEX jobs_tagged ON setlist.jobs (site, id) WHERE flags & 128 != 0;
CREATE INDEX jobs_with_labels ON setlist.jobs (site, queue, state, rank, position) WHERE labels IS NOT NULL AND state >= 4;
CREATE INDEX jobs_with_environment ON setlist.jobs (site, environment) WHERE environment IS NOT NULL AND state > 0;
CREATE INDEX jobs_blocked_by_failure ON setlist.jobs (site, queue) WHERE failed_needs > 0 AND state = 8;
