-- The calendar feed of a patient: what it shows, and the keyed hash of its secret address.
CREATE TABLE calendars (
    patient_id uuid NOT NULL,
    address_id uuid NOT NULL,
    address_key bytea,
    address_version bigint NOT NULL,
    doc bytea NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    read_at timestamptz,
    mac bytea NOT NULL,
    PRIMARY KEY (patient_id)
);
CREATE UNIQUE INDEX calendars_address ON calendars (address_key) WHERE address_key IS NOT NULL;
