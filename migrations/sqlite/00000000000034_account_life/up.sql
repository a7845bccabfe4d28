-- Mails to the owners of accounts, which leave after the unit that wrote them. Each is sealed under keys of its own.
CREATE TABLE letters (
    id BLOB NOT NULL,
    doc BLOB NOT NULL,
    attempts INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    due_at INTEGER,
    done_at INTEGER,
    UNIQUE (id)
);
CREATE INDEX letters_due ON letters (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX letters_done ON letters (done_at) WHERE done_at IS NOT NULL;
-- Codes that were sent to an address: whoever presents one reads the mail of that address.
CREATE TABLE address_proofs (
    id BLOB NOT NULL,
    code_hash BLOB NOT NULL,
    purpose INTEGER NOT NULL,
    email_key BLOB NOT NULL,
    account_id BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    mac BLOB NOT NULL,
    UNIQUE (id)
);
CREATE UNIQUE INDEX address_proofs_code ON address_proofs (code_hash);
CREATE INDEX address_proofs_address ON address_proofs (email_key, purpose, created_at);
CREATE INDEX address_proofs_expires ON address_proofs (expires_at);
