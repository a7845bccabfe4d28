-- The second factor of an account: the secrets of its time-based codes and of its recovery codes, sealed.
CREATE TABLE second_factors (
    account_id BLOB NOT NULL,
    last_step INTEGER NOT NULL,
    recovery_used INTEGER NOT NULL,
    confirmed_at INTEGER,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    doc BLOB NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (account_id)
);
-- When the passphrase and a code were last shown in a session.
ALTER TABLE sessions ADD COLUMN verified_at INTEGER;
ALTER TABLE sessions ADD COLUMN factor_at INTEGER;
-- Since when an account has a second factor, and since when its lock is on.
ALTER TABLE accounts ADD COLUMN factor_since INTEGER;
ALTER TABLE accounts ADD COLUMN lock_since INTEGER;
-- Since when a clinic asks its staff for a second factor.
ALTER TABLE staff_members ADD COLUMN factor_from INTEGER;
