CREATE TABLE wrapped_keys (
    subject_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    purpose INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (subject_id, number)
);

