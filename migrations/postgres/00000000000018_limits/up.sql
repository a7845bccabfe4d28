-- The sealed bytes of what a patient has written, and of the comments about it.
ALTER TABLE patient_heads ADD COLUMN text_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE patient_heads ADD COLUMN comment_bytes bigint NOT NULL DEFAULT 0;

-- Each write of an entry looks for the open grants by rule; grants that have ended stay in the table.
CREATE INDEX grants_open ON grants (patient_id, sections) WHERE closed_at IS NULL;
CREATE INDEX pauses_open ON pauses (patient_id) WHERE deleted_at IS NULL;
CREATE INDEX assignments_link ON assignments (patient_id, link_id);

-- Failed log-ins are counted by the address, whether an account has it or not.
CREATE TABLE log_in_failures (
    email_key bytea NOT NULL,
    failures integer NOT NULL,
    locked_until timestamptz,
    last_at timestamptz NOT NULL,
    UNIQUE (email_key)
);
CREATE INDEX log_in_failures_last ON log_in_failures (last_at);
