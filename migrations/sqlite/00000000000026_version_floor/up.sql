-- The number above which an epoch gives versions, beside the number of changes that is locked with it.
ALTER TABLE patient_heads ADD COLUMN version_floor INTEGER NOT NULL DEFAULT 0;
