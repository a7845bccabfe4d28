-- The sealed bytes of what a patient has written, and of the comments about it.
ALTER TABLE patient_heads ADD COLUMN text_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE patient_heads ADD COLUMN comment_bytes INTEGER NOT NULL DEFAULT 0;

-- Each write of an entry looks for the open grants by rule; grants that have ended stay in the table.
CREATE INDEX grants_open ON grants (patient_id, sections) WHERE closed_at IS NULL;
CREATE INDEX pauses_open ON pauses (patient_id) WHERE deleted_at IS NULL;
CREATE INDEX assignments_link ON assignments (patient_id, link_id);
