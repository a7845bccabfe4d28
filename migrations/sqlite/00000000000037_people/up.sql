-- The therapist who is to take over from that of a care link: one for each link.
CREATE TABLE transfers (
    link_id BLOB NOT NULL PRIMARY KEY,
    patient_id BLOB NOT NULL,
    therapist_id BLOB NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    offered_at INTEGER NOT NULL,
    answered_at INTEGER,
    mac BLOB NOT NULL
);
CREATE INDEX transfers_patient ON transfers (patient_id, link_id);
-- Who stands in for a therapist, and from when to when.
CREATE TABLE covers (
    id BLOB NOT NULL,
    clinic_id BLOB NOT NULL,
    therapist_id BLOB NOT NULL,
    colleague_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    starts_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    ended_at INTEGER,
    tell_at INTEGER,
    tell_after BLOB,
    tell_session BLOB,
    mac BLOB NOT NULL,
    UNIQUE (id)
);
CREATE INDEX covers_clinic ON covers (clinic_id, id);
CREATE INDEX covers_colleague ON covers (colleague_id, ends_at);
CREATE INDEX covers_tell ON covers (tell_at) WHERE tell_at IS NOT NULL;
-- Grants to the care team: what somebody who stands in may see.
CREATE TABLE team_grants (
    patient_id BLOB NOT NULL,
    grant_id BLOB NOT NULL,
    mac BLOB NOT NULL,
    PRIMARY KEY (patient_id, grant_id)
);
-- Accesses in an emergency, with their sealed reasons.
CREATE TABLE emergencies (
    id BLOB NOT NULL,
    clinic_id BLOB NOT NULL,
    patient_id BLOB NOT NULL,
    account_id BLOB NOT NULL,
    doc BLOB NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    reviewed_at INTEGER,
    reviewer_id BLOB,
    mac BLOB NOT NULL,
    UNIQUE (id)
);
CREATE INDEX emergencies_clinic ON emergencies (clinic_id, id);
CREATE INDEX emergencies_account ON emergencies (account_id, patient_id, ends_at);
-- Codes by which staff get a new passphrase.
CREATE TABLE staff_resets (
    id BLOB NOT NULL,
    code_hash BLOB NOT NULL,
    account_id BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (id)
);
CREATE UNIQUE INDEX staff_resets_code ON staff_resets (code_hash);
CREATE INDEX staff_resets_account ON staff_resets (account_id);
