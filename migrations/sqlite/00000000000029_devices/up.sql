-- The phones and browsers of a patient: where pushes go.
CREATE TABLE devices (
    patient_id BLOB NOT NULL,
    id BLOB NOT NULL,
    session_id BLOB NOT NULL,
    doc BLOB NOT NULL,
    reach_key BLOB,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    retired_at INTEGER,
    seen_at INTEGER,
    plan_at INTEGER,
    plan_until INTEGER,
    mac BLOB NOT NULL,
    UNIQUE (patient_id, id)
);
CREATE INDEX devices_reach ON devices (reach_key) WHERE reach_key IS NOT NULL;
-- A delivery without a device is made into one for each device when it is leased.
ALTER TABLE deliveries ADD COLUMN device_id BLOB;
-- The first time that it left, the times that it was sent again, and the receipt of the device.
ALTER TABLE deliveries ADD COLUMN sent_at INTEGER;
ALTER TABLE deliveries ADD COLUMN resends INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN received_at INTEGER;
