-- The versions of the protocols that clinics write.
CREATE TABLE protocols (
    id uuid NOT NULL,
    number integer NOT NULL,
    clinic_id uuid NOT NULL,
    state text NOT NULL,
    doc bytea NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    published_at timestamptz,
    mac bytea NOT NULL,
    PRIMARY KEY (id, number)
);
CREATE INDEX protocols_clinic ON protocols (clinic_id, id, number);
-- The protocol that a clinic has chosen for its patients, and when their plans are to follow what it has changed.
CREATE TABLE clinic_plans (
    clinic_id uuid NOT NULL PRIMARY KEY,
    protocol_id uuid,
    version bigint NOT NULL,
    follow_at timestamptz,
    mac bytea NOT NULL
);
CREATE INDEX clinic_plans_follow ON clinic_plans (follow_at) WHERE follow_at IS NOT NULL;
