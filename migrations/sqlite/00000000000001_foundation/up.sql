-- Everything that says what somebody wrote, answered, took or felt is in sealed columns (BLOB / bytea).

CREATE TABLE settings (
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (name)
);
CREATE TABLE accounts (
    id BLOB NOT NULL,
    kind TEXT NOT NULL,
    patient_id BLOB,
    email_key BLOB NOT NULL,
    profile BLOB NOT NULL,
    credential BLOB NOT NULL,
    disabled_at INTEGER,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (id)
);
CREATE TABLE account_heads (
    account_id BLOB NOT NULL,
    audit_seq INTEGER NOT NULL,
    audit_mac BLOB NOT NULL,
    UNIQUE (account_id)
);
CREATE TABLE sessions (
    id BLOB NOT NULL,
    account_id BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    revoked_cause INTEGER,
    mac BLOB NOT NULL,
    UNIQUE (id)
);
CREATE TABLE refresh_tokens (
    hash BLOB NOT NULL,
    session_id BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    spent_at INTEGER,
    mac BLOB NOT NULL,
    UNIQUE (hash)
);
CREATE TABLE clinics (
    id BLOB NOT NULL,
    doc BLOB NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (id)
);
CREATE TABLE staff_members (
    clinic_id BLOB NOT NULL,
    account_id BLOB NOT NULL,
    capabilities INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    version INTEGER NOT NULL,
    tell_at INTEGER,
    tell_after BLOB,
    tell_session BLOB,
    mac BLOB NOT NULL,
    UNIQUE (clinic_id, account_id)
);
CREATE TABLE invitations (
    id BLOB NOT NULL,
    code_hash BLOB NOT NULL,
    clinic_id BLOB NOT NULL,
    inviter_id BLOB NOT NULL,
    capabilities INTEGER,
    email_key BLOB,
    doc BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    used_by BLOB,
    revoked_at INTEGER,
    mac BLOB NOT NULL,
    UNIQUE (id)
);
CREATE TABLE patients (
    id BLOB NOT NULL,
    account_id BLOB NOT NULL,
    plan_version INTEGER NOT NULL,
    next_plan_at INTEGER,
    created_at INTEGER NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (id)
);
CREATE TABLE patient_heads (
    patient_id BLOB NOT NULL,
    change_seq INTEGER NOT NULL,
    audit_seq INTEGER NOT NULL,
    audit_mac BLOB NOT NULL,
    UNIQUE (patient_id)
);
CREATE TABLE patient_settings (
    patient_id BLOB NOT NULL,
    doc BLOB NOT NULL,
    version INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (patient_id)
);
CREATE TABLE care_links (
    id BLOB NOT NULL,
    patient_id BLOB NOT NULL,
    clinic_id BLOB NOT NULL,
    therapist_id BLOB NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    accepted_at INTEGER,
    active_at INTEGER,
    ended_at INTEGER,
    mac BLOB NOT NULL,
    UNIQUE (id)
);
CREATE TABLE grants (
    patient_id BLOB NOT NULL,
    id BLOB NOT NULL,
    doc BLOB NOT NULL,
    sections INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    closed_at INTEGER,
    mac BLOB NOT NULL,
    UNIQUE (patient_id, id)
);
CREATE TABLE grant_readers (
    patient_id BLOB NOT NULL,
    grant_id BLOB NOT NULL,
    link_id BLOB NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (patient_id, grant_id, link_id)
);
CREATE TABLE grant_items (
    patient_id BLOB NOT NULL,
    item_id BLOB NOT NULL,
    grant_id BLOB NOT NULL,
    occurred_at INTEGER NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (patient_id, item_id, grant_id)
);
CREATE TABLE infusions (
    patient_id BLOB NOT NULL,
    id BLOB NOT NULL,
    doc BLOB NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (patient_id, id)
);
CREATE TABLE pauses (
    patient_id BLOB NOT NULL,
    id BLOB NOT NULL,
    doc BLOB NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    UNIQUE (patient_id, id)
);
CREATE TABLE prompts (
    patient_id BLOB NOT NULL,
    id BLOB NOT NULL,
    doc BLOB NOT NULL,
    stage INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    next_action_at INTEGER,
    fired_at INTEGER,
    delivered_at INTEGER,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (patient_id, id)
);
CREATE TABLE deliveries (
    id BLOB NOT NULL,
    patient_id BLOB NOT NULL,
    prompt_id BLOB NOT NULL,
    ordinal INTEGER NOT NULL,
    channel TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    lease_until INTEGER,
    leased_by BLOB,
    done_at INTEGER,
    created_at INTEGER NOT NULL,
    UNIQUE (id)
);
CREATE TABLE entries (
    patient_id BLOB NOT NULL,
    id BLOB NOT NULL,
    version INTEGER NOT NULL,
    meta BLOB NOT NULL,
    meta_rev INTEGER NOT NULL,
    text BLOB,
    text_rev INTEGER NOT NULL,
    mood BLOB,
    mood_rev INTEGER NOT NULL,
    tags BLOB,
    tags_rev INTEGER NOT NULL,
    attachments BLOB,
    attachments_rev INTEGER NOT NULL,
    draft BOOLEAN NOT NULL,
    infusion_id BLOB,
    prompt_id BLOB,
    occurred_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    purge_at INTEGER,
    UNIQUE (patient_id, id)
);
CREATE TABLE entry_history (
    patient_id BLOB NOT NULL,
    entry_id BLOB NOT NULL,
    section INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    sealed BLOB,
    replaced_at_version INTEGER NOT NULL,
    UNIQUE (patient_id, entry_id, section, rev)
);
CREATE TABLE comments (
    patient_id BLOB NOT NULL,
    id BLOB NOT NULL,
    entry_id BLOB NOT NULL,
    link_id BLOB NOT NULL,
    author_id BLOB NOT NULL,
    doc BLOB NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (patient_id, id)
);
CREATE TABLE openings (
    patient_id BLOB NOT NULL,
    item_id BLOB NOT NULL,
    account_id BLOB NOT NULL,
    opened_at INTEGER NOT NULL,
    UNIQUE (patient_id, item_id, account_id)
);
CREATE TABLE changes (
    patient_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    entity INTEGER NOT NULL,
    entity_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    op INTEGER NOT NULL,
    actor_id BLOB,
    session_id BLOB,
    at INTEGER NOT NULL,
    UNIQUE (patient_id, seq)
);
CREATE TABLE audit_log (
    subject_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor_id BLOB,
    session_id BLOB,
    doc BLOB NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (subject_id, seq)
);
CREATE TABLE idempotency_records (
    account_id BLOB NOT NULL,
    key_hash BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL,
    reference BLOB,
    created_at INTEGER NOT NULL,
    UNIQUE (account_id, key_hash)
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
