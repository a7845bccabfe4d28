-- What closed access beside the things of a patient, and may not stand in the revocation ledger yet. The clinic is that of
-- a member, else zero.
CREATE TABLE closings (
    kind integer NOT NULL,
    thing_id uuid NOT NULL,
    clinic_id uuid NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (kind, thing_id, clinic_id, at)
);
-- The letters that owners of accounts are to get about what happened to these: one of each kind, at most one an hour.
CREATE TABLE owner_notices (
    account_id uuid NOT NULL,
    kind integer NOT NULL,
    due_at timestamptz,
    asked_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, kind)
);
CREATE INDEX owner_notices_due ON owner_notices (due_at) WHERE due_at IS NOT NULL;
-- After a reset of the passphrase by mail: until then only devices that the account knows log in.
ALTER TABLE accounts ADD COLUMN guarded_until timestamptz;
