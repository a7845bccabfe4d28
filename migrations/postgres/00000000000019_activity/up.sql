-- Whether the plan waits for the patient's next activity: only then does each thing written make it again.
ALTER TABLE patients ADD COLUMN awaits_activity boolean NOT NULL DEFAULT FALSE;
