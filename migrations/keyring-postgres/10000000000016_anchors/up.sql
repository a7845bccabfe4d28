-- The heads of audit chains, where the writer of the data cannot write.
CREATE TABLE audit_anchors (
    subject_id uuid NOT NULL PRIMARY KEY,
    seq bigint NOT NULL,
    head bytea NOT NULL,
    mac bytea NOT NULL
);
