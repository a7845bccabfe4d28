-- What closed access beside the things of a patient, and may not stand in the revocation ledger yet. The clinic is that of
-- a member, else zero.
CREATE TABLE closings (
    kind INTEGER NOT NULL,
    thing_id BLOB NOT NULL,
    clinic_id BLOB NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (kind, thing_id, clinic_id, at)
);
-- The letters that owners of accounts are to get about what happened to these: one of each kind, at most one an hour.
CREATE TABLE owner_notices (
    account_id BLOB NOT NULL,
    kind INTEGER NOT NULL,
    due_at INTEGER,
    asked_at INTEGER NOT NULL,
    UNIQUE (account_id, kind)
);
CREATE INDEX owner_notices_due ON owner_notices (due_at) WHERE due_at IS NOT NULL;
-- After a reset of the passphrase by mail: until then only devices that the account knows log in.
ALTER TABLE accounts ADD COLUMN guarded_until INTEGER;
