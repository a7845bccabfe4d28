-- Plain tables like ours, for the baseline of `create.sql`. Frozen with it.
CREATE TABLE b_accounts (
    id uuid PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    patient_id uuid,
    disabled_at timestamptz
);
CREATE TABLE b_sessions (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE TABLE b_heads (
    patient_id uuid PRIMARY KEY,
    change_seq bigint NOT NULL
);
CREATE TABLE b_entries (
    patient_id uuid NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    text bytea NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    PRIMARY KEY (patient_id, id)
);
CREATE INDEX b_entries_list ON b_entries (patient_id, occurred_at, id) WHERE deleted_at IS NULL;
CREATE TABLE b_changes (
    patient_id uuid NOT NULL,
    seq bigint NOT NULL,
    entity integer NOT NULL,
    entity_id uuid NOT NULL,
    version bigint NOT NULL,
    op integer NOT NULL,
    actor_id uuid,
    session_id uuid,
    at timestamptz NOT NULL,
    PRIMARY KEY (patient_id, seq)
);
CREATE INDEX b_changes_entity ON b_changes (patient_id, entity_id, seq);
CREATE TABLE b_idempotency_records (
    account_id uuid NOT NULL,
    key_hash bytea NOT NULL,
    fingerprint bytea NOT NULL,
    status integer NOT NULL,
    reference uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, key_hash)
);
CREATE INDEX b_idempotency_records_created ON b_idempotency_records (created_at);

-- 1,000 patients: patient, account and session n have the id n.
INSERT INTO b_accounts SELECT lpad(to_hex(n), 32, '0')::uuid, 'patient', lpad(to_hex(n), 32, '0')::uuid
    FROM generate_series(1, 1000) AS n;
INSERT INTO b_sessions SELECT lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(n), 32, '0')::uuid, now() + interval '60 days'
    FROM generate_series(1, 1000) AS n;
INSERT INTO b_heads SELECT lpad(to_hex(n), 32, '0')::uuid, 0 FROM generate_series(1, 1000) AS n;
VACUUM ANALYZE;
