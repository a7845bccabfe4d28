-- The calendar feed of a patient: what it shows, and the keyed hash of its secret address.
CREATE TABLE calendars (
    patient_id BLOB NOT NULL,
    address_id BLOB NOT NULL,
    address_key BLOB,
    address_version INTEGER NOT NULL,
    doc BLOB NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    read_at INTEGER,
    mac BLOB NOT NULL,
    UNIQUE (patient_id)
);
CREATE UNIQUE INDEX calendars_address ON calendars (address_key) WHERE address_key IS NOT NULL;
