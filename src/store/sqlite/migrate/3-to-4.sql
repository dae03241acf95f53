-- Jobs may be reserved for a worker.
ALTER TABLE workers ADD COLUMN reserved TEXT;
