-- The heads of audit chains, where the writer of the data cannot write.
CREATE TABLE audit_anchors (
    subject_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    head BLOB NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (subject_id)
);
