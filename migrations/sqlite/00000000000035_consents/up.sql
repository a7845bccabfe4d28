-- What a patient has agreed to and withdrawn. Rows are only added: the newest of a document tells how it stands.
CREATE TABLE consents (
    patient_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    withdrawn BOOLEAN NOT NULL,
    doc BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (patient_id, version)
);
