-- The therapist who is to take over from that of a care link: one for each link.
CREATE TABLE transfers (
    link_id uuid NOT NULL PRIMARY KEY,
    patient_id uuid NOT NULL,
    therapist_id uuid NOT NULL,
    state text NOT NULL,
    version bigint NOT NULL,
    offered_at timestamptz NOT NULL,
    answered_at timestamptz,
    mac bytea NOT NULL
);
CREATE INDEX transfers_patient ON transfers (patient_id, link_id);
-- Who stands in for a therapist, and from when to when.
CREATE TABLE covers (
    id uuid NOT NULL,
    clinic_id uuid NOT NULL,
    therapist_id uuid NOT NULL,
    colleague_id uuid NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    ended_at timestamptz,
    tell_at timestamptz,
    tell_after uuid,
    tell_session uuid,
    mac bytea NOT NULL,
    UNIQUE (id)
);
CREATE INDEX covers_clinic ON covers (clinic_id, id);
CREATE INDEX covers_colleague ON covers (colleague_id, ends_at);
CREATE INDEX covers_tell ON covers (tell_at) WHERE tell_at IS NOT NULL;
-- Grants to the care team: what somebody who stands in may see.
CREATE TABLE team_grants (
    patient_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    mac bytea NOT NULL,
    PRIMARY KEY (patient_id, grant_id)
);
-- Accesses in an emergency, with their sealed reasons.
CREATE TABLE emergencies (
    id uuid NOT NULL,
    clinic_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    account_id uuid NOT NULL,
    doc bytea NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    reviewed_at timestamptz,
    reviewer_id uuid,
    mac bytea NOT NULL,
    UNIQUE (id)
);
CREATE INDEX emergencies_clinic ON emergencies (clinic_id, id);
CREATE INDEX emergencies_account ON emergencies (account_id, patient_id, ends_at);
-- Codes by which staff get a new passphrase.
CREATE TABLE staff_resets (
    id uuid NOT NULL,
    code_hash bytea NOT NULL,
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    mac bytea NOT NULL,
    UNIQUE (id)
);
CREATE UNIQUE INDEX staff_resets_code ON staff_resets (code_hash);
CREATE INDEX staff_resets_account ON staff_resets (account_id);
