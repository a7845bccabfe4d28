-- Mails to the owners of accounts, which leave after the unit that wrote them. Each is sealed under keys of its own.
CREATE TABLE letters (
    id uuid NOT NULL,
    doc bytea NOT NULL,
    attempts integer NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    due_at timestamptz,
    done_at timestamptz,
    PRIMARY KEY (id)
);
CREATE INDEX letters_due ON letters (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX letters_done ON letters (done_at) WHERE done_at IS NOT NULL;
-- Codes that were sent to an address: whoever presents one reads the mail of that address.
CREATE TABLE address_proofs (
    id uuid NOT NULL,
    code_hash bytea NOT NULL,
    purpose integer NOT NULL,
    email_key bytea NOT NULL,
    account_id uuid,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    mac bytea NOT NULL,
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX address_proofs_code ON address_proofs (code_hash);
CREATE INDEX address_proofs_address ON address_proofs (email_key, purpose, created_at);
CREATE INDEX address_proofs_expires ON address_proofs (expires_at);
