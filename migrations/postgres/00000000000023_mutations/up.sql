-- What came of the mutations that phones sent, by which one that is sent again is known.
CREATE TABLE mutations (
    patient_id uuid NOT NULL,
    mutation_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    status integer NOT NULL,
    entity integer NOT NULL,
    thing_id uuid NOT NULL,
    version bigint NOT NULL,
    sibling_id uuid,
    at timestamptz NOT NULL
);
CREATE UNIQUE INDEX mutations_id ON mutations (patient_id, mutation_id);
CREATE INDEX mutations_at ON mutations (at);
