-- Everything that says what somebody wrote, answered, took or felt is in sealed columns (BLOB / bytea).

CREATE TABLE settings (
    name text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE accounts (
    id uuid NOT NULL,
    kind text COLLATE "C" NOT NULL,
    patient_id uuid,
    email_key bytea NOT NULL,
    profile bytea NOT NULL,
    credential bytea NOT NULL,
    disabled_at timestamptz,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    mac bytea NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE account_heads (
    account_id uuid NOT NULL,
    audit_seq bigint NOT NULL,
    audit_mac bytea NOT NULL,
    PRIMARY KEY (account_id)
);
CREATE TABLE sessions (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoked_cause integer,
    mac bytea NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE refresh_tokens (
    hash bytea NOT NULL,
    session_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    spent_at timestamptz,
    mac bytea NOT NULL,
    PRIMARY KEY (hash)
);
CREATE TABLE clinics (
    id uuid NOT NULL,
    doc bytea NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE staff_members (
    clinic_id uuid NOT NULL,
    account_id uuid NOT NULL,
    capabilities integer NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    version bigint NOT NULL,
    tell_at timestamptz,
    tell_after uuid,
    tell_session uuid,
    mac bytea NOT NULL,
    PRIMARY KEY (clinic_id, account_id)
);
CREATE TABLE invitations (
    id uuid NOT NULL,
    code_hash bytea NOT NULL,
    clinic_id uuid NOT NULL,
    inviter_id uuid NOT NULL,
    capabilities integer,
    email_key bytea,
    doc bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    used_by uuid,
    revoked_at timestamptz,
    mac bytea NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE patients (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    plan_version bigint NOT NULL,
    next_plan_at timestamptz,
    created_at timestamptz NOT NULL,
    mac bytea NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE patient_heads (
    patient_id uuid NOT NULL,
    change_seq bigint NOT NULL,
    audit_seq bigint NOT NULL,
    audit_mac bytea NOT NULL,
    PRIMARY KEY (patient_id)
);
CREATE TABLE patient_settings (
    patient_id uuid NOT NULL,
    doc bytea NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (patient_id)
);
CREATE TABLE care_links (
    id uuid NOT NULL,
    patient_id uuid NOT NULL,
    clinic_id uuid NOT NULL,
    therapist_id uuid NOT NULL,
    state text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    accepted_at timestamptz,
    active_at timestamptz,
    ended_at timestamptz,
    mac bytea NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE grants (
    patient_id uuid NOT NULL,
    id uuid NOT NULL,
    doc bytea NOT NULL,
    sections integer NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    closed_at timestamptz,
    mac bytea NOT NULL,
    PRIMARY KEY (patient_id, id)
);
CREATE TABLE grant_readers (
    patient_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    link_id uuid NOT NULL,
    mac bytea NOT NULL,
    PRIMARY KEY (patient_id, grant_id, link_id)
);
CREATE TABLE grant_items (
    patient_id uuid NOT NULL,
    item_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    mac bytea NOT NULL,
    PRIMARY KEY (patient_id, item_id, grant_id)
);
CREATE TABLE infusions (
    patient_id uuid NOT NULL,
    id uuid NOT NULL,
    doc bytea NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (patient_id, id)
);
CREATE TABLE pauses (
    patient_id uuid NOT NULL,
    id uuid NOT NULL,
    doc bytea NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    PRIMARY KEY (patient_id, id)
);
CREATE TABLE prompts (
    patient_id uuid NOT NULL,
    id uuid NOT NULL,
    doc bytea NOT NULL,
    stage integer NOT NULL,
    due_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    next_action_at timestamptz,
    fired_at timestamptz,
    delivered_at timestamptz,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (patient_id, id)
);
CREATE TABLE deliveries (
    id uuid NOT NULL,
    patient_id uuid NOT NULL,
    prompt_id uuid NOT NULL,
    ordinal integer NOT NULL,
    channel text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    attempts integer NOT NULL,
    due_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    lease_until timestamptz,
    leased_by uuid,
    done_at timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE entries (
    patient_id uuid NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    meta bytea NOT NULL,
    meta_rev bigint NOT NULL,
    text bytea,
    text_rev bigint NOT NULL,
    mood bytea,
    mood_rev bigint NOT NULL,
    tags bytea,
    tags_rev bigint NOT NULL,
    attachments bytea,
    attachments_rev bigint NOT NULL,
    draft boolean NOT NULL,
    infusion_id uuid,
    prompt_id uuid,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    purge_at timestamptz,
    PRIMARY KEY (patient_id, id)
);
CREATE TABLE entry_history (
    patient_id uuid NOT NULL,
    entry_id uuid NOT NULL,
    section integer NOT NULL,
    rev bigint NOT NULL,
    sealed bytea,
    replaced_at_version bigint NOT NULL,
    PRIMARY KEY (patient_id, entry_id, section, rev)
);
CREATE TABLE comments (
    patient_id uuid NOT NULL,
    id uuid NOT NULL,
    entry_id uuid NOT NULL,
    link_id uuid NOT NULL,
    author_id uuid NOT NULL,
    doc bytea NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    mac bytea NOT NULL,
    PRIMARY KEY (patient_id, id)
);
CREATE TABLE openings (
    patient_id uuid NOT NULL,
    item_id uuid NOT NULL,
    account_id uuid NOT NULL,
    opened_at timestamptz NOT NULL,
    PRIMARY KEY (patient_id, item_id, account_id)
);
CREATE TABLE changes (
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
CREATE TABLE audit_log (
    subject_id uuid NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    actor_id uuid,
    session_id uuid,
    doc bytea NOT NULL,
    mac bytea NOT NULL,
    PRIMARY KEY (subject_id, seq)
);
CREATE TABLE idempotency_records (
    account_id uuid NOT NULL,
    key_hash bytea NOT NULL,
    fingerprint bytea NOT NULL,
    status integer NOT NULL,
    reference uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, key_hash)
);

CREATE UNIQUE INDEX accounts_email ON accounts (email_key);
CREATE UNIQUE INDEX accounts_patient ON accounts (patient_id) WHERE patient_id IS NOT NULL;
CREATE INDEX sessions_account ON sessions (account_id);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
CREATE INDEX staff_members_account ON staff_members (account_id);
CREATE INDEX staff_members_tell ON staff_members (tell_at) WHERE tell_at IS NOT NULL;
CREATE UNIQUE INDEX invitations_code ON invitations (code_hash);
CREATE INDEX invitations_clinic ON invitations (clinic_id, created_at);
CREATE UNIQUE INDEX patients_account ON patients (account_id);
CREATE INDEX patients_next_plan ON patients (next_plan_at) WHERE next_plan_at IS NOT NULL;
CREATE INDEX care_links_patient ON care_links (patient_id);
CREATE INDEX care_links_therapist ON care_links (therapist_id, state);
CREATE INDEX care_links_clinic ON care_links (clinic_id, patient_id);
CREATE INDEX grant_readers_link ON grant_readers (patient_id, link_id);
CREATE INDEX grant_items_list ON grant_items (patient_id, occurred_at, item_id);
CREATE INDEX prompts_next_action ON prompts (next_action_at) WHERE next_action_at IS NOT NULL;
CREATE INDEX prompts_due ON prompts (patient_id, due_at, id);
CREATE INDEX deliveries_waiting ON deliveries (due_at) WHERE state = 'waiting';
CREATE INDEX deliveries_leased ON deliveries (lease_until) WHERE state = 'leased';
CREATE INDEX deliveries_prompt ON deliveries (patient_id, prompt_id);
CREATE INDEX entries_list ON entries (patient_id, occurred_at, id) WHERE deleted_at IS NULL;
CREATE INDEX entries_prompt ON entries (patient_id, prompt_id) WHERE prompt_id IS NOT NULL;
CREATE INDEX entries_purge ON entries (purge_at) WHERE purge_at IS NOT NULL;
CREATE INDEX comments_entry ON comments (patient_id, entry_id, id);
CREATE INDEX changes_entity ON changes (patient_id, entity_id, seq);
CREATE INDEX idempotency_records_created ON idempotency_records (created_at);
