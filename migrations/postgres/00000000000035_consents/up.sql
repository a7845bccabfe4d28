-- What a patient has agreed to and withdrawn. Rows are only added: the newest of a document tells how it stands.
CREATE TABLE consents (
    patient_id uuid NOT NULL,
    version bigint NOT NULL,
    withdrawn boolean NOT NULL,
    doc bytea NOT NULL,
    created_at timestamptz NOT NULL,
    mac bytea NOT NULL,
    PRIMARY KEY (patient_id, version)
);
