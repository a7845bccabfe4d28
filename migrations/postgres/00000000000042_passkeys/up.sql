-- The passkeys of accounts: what is needed to verify one is sealed, and it is looked up by the keyed hash of its id.
CREATE TABLE passkeys (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    credential_key bytea NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    doc bytea NOT NULL,
    mac bytea NOT NULL,
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX passkeys_credential ON passkeys (credential_key);
CREATE INDEX passkeys_account ON passkeys (account_id);
-- The challenges that were answered: none is good twice.
CREATE TABLE passkey_ceremonies (
    ceremony_key bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (ceremony_key)
);
CREATE INDEX passkey_ceremonies_expires ON passkey_ceremonies (expires_at);
