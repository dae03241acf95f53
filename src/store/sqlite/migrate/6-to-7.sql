-- How many jobs of each queue are in each phase. The triggers keep it.
ALTER TABLE jobs ADD COLUMN has_failed INTEGER GENERATED ALWAYS AS (
    state = 0 AND coalesce(
        outcome = '"interrupted"' OR outcome GLOB '{"failed"*' OR outcome GLOB '{"unreachable"*', FALSE
    )
) VIRTUAL;
CREATE TABLE job_counts (
    queue TEXT PRIMARY KEY,
    pending INTEGER NOT NULL,
    running INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    failed INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO job_counts
    SELECT queue, sum(state > 3), sum(state BETWEEN 1 AND 3), sum(state = 0), sum(has_failed)
    FROM jobs WHERE removed IS NULL GROUP BY queue;
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
-- The few pending jobs that say why a queue waits: those that need approval, and those that have failed.
CREATE INDEX jobs_unconfirmed ON jobs (queue, rank, position) WHERE state > 3 AND flags & 4 AND removed IS NULL;
CREATE INDEX jobs_failed_pending ON jobs (queue, rank, position)
    WHERE state > 3 AND ending GLOB '{"failed"*' AND removed IS NULL;
