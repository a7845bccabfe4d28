-- What came of the mutations that phones sent, by which one that is sent again is known.
CREATE TABLE mutations (
    patient_id BLOB NOT NULL,
    mutation_id BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL,
    entity INTEGER NOT NULL,
    thing_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    sibling_id BLOB,
    at INTEGER NOT NULL
);
CREATE UNIQUE INDEX mutations_id ON mutations (patient_id, mutation_id);
CREATE INDEX mutations_at ON mutations (at);
