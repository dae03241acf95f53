-- Format 2. The machine of each worker that has joined, also after it has left.
CREATE TABLE setlist.worker_machines (
    site integer NOT NULL,
    id bigint NOT NULL,
    machine text NOT NULL,
    PRIMARY KEY (site, id)
);
INSERT INTO setlist.worker_machines SELECT site, id, body::json->>'host' FROM setlist.workers;

-- The terminals of running jobs, and what is typed into them on other machines, a frame in each row. A row exists
-- until the worker has read it. Not in the write-ahead log, since input may be a password.
CREATE UNLOGGED TABLE setlist.terminals (
    site integer NOT NULL,
    run bigint NOT NULL,
    PRIMARY KEY (site, run)
);
CREATE UNLOGGED TABLE setlist.terminal_input (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site integer NOT NULL,
    run bigint NOT NULL,
    frame bytea NOT NULL,
    FOREIGN KEY (site, run) REFERENCES setlist.terminals ON DELETE CASCADE
);
CREATE INDEX terminal_input_of_run ON setlist.terminal_input (site, run);
