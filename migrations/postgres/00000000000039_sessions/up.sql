-- The sealed name of the device of a session, with its version.
ALTER TABLE sessions ADD COLUMN doc bytea;
ALTER TABLE sessions ADD COLUMN version bigint NOT NULL DEFAULT 1;
-- Failed log-ins are counted for an account and a network, for an account, and for a device, each under a keyed hash.
ALTER TABLE log_in_failures RENAME COLUMN email_key TO counter;
