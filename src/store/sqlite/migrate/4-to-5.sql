-- Work has the environment of the user who has requested it.
ALTER TABLE queues ADD COLUMN environment INTEGER;
ALTER TABLE jobs ADD COLUMN environment INTEGER;
CREATE INDEX jobs_removed ON jobs (environment) WHERE removed IS NOT NULL AND environment IS NOT NULL;
