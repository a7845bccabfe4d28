-- Whether a comment arrived after its thread was closed: it is the patient's alone, also if the thread opens again.
ALTER TABLE comments ADD COLUMN held BOOLEAN NOT NULL DEFAULT FALSE;
