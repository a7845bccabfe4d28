-- The versions of the protocols that clinics write.
CREATE TABLE protocols (
    id BLOB NOT NULL,
    number INTEGER NOT NULL,
    clinic_id BLOB NOT NULL,
    state TEXT NOT NULL,
    doc BLOB NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    published_at INTEGER,
    mac BLOB NOT NULL,
    PRIMARY KEY (id, number)
);
CREATE INDEX protocols_clinic ON protocols (clinic_id, id, number);
-- The protocol that a clinic has chosen for its patients, and when their plans are to follow what it has changed.
CREATE TABLE clinic_plans (
    clinic_id BLOB NOT NULL PRIMARY KEY,
    protocol_id BLOB,
    version INTEGER NOT NULL,
    follow_at INTEGER,
    mac BLOB NOT NULL
);
CREATE INDEX clinic_plans_follow ON clinic_plans (follow_at) WHERE follow_at IS NOT NULL;
