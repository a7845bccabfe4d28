-- The second factor of an account: the secrets of its time-based codes and of its recovery codes, sealed.
CREATE TABLE second_factors (
    account_id uuid NOT NULL,
    last_step bigint NOT NULL,
    recovery_used integer NOT NULL,
    confirmed_at timestamptz,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    doc bytea NOT NULL,
    mac bytea NOT NULL,
    PRIMARY KEY (account_id)
);
-- When the passphrase and a code were last shown in a session.
ALTER TABLE sessions ADD COLUMN verified_at timestamptz;
ALTER TABLE sessions ADD COLUMN factor_at timestamptz;
-- Since when an account has a second factor, and since when its lock is on.
ALTER TABLE accounts ADD COLUMN factor_since timestamptz;
ALTER TABLE accounts ADD COLUMN lock_since timestamptz;
-- Since when a clinic asks its staff for a second factor.
ALTER TABLE staff_members ADD COLUMN factor_from timestamptz;
