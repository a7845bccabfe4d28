-- The passkeys of accounts: what is needed to verify one is sealed, and it is looked up by the keyed hash of its id.
CREATE TABLE passkeys (
    id BLOB NOT NULL,
    account_id BLOB NOT NULL,
    credential_key BLOB NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    doc BLOB NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (id)
);
CREATE UNIQUE INDEX passkeys_credential ON passkeys (credential_key);
CREATE INDEX passkeys_account ON passkeys (account_id);
-- The challenges that were answered: none is good twice.
CREATE TABLE passkey_ceremonies (
    ceremony_key BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (ceremony_key)
);
CREATE INDEX passkey_ceremonies_expires ON passkey_ceremonies (expires_at);
