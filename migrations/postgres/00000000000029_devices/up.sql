-- The phones and browsers of a patient: where pushes go.
CREATE TABLE devices (
    patient_id uuid NOT NULL,
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    doc bytea NOT NULL,
    reach_key bytea,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    retired_at timestamptz,
    seen_at timestamptz,
    plan_at timestamptz,
    plan_until timestamptz,
    mac bytea NOT NULL,
    PRIMARY KEY (patient_id, id)
);
CREATE INDEX devices_reach ON devices (reach_key) WHERE reach_key IS NOT NULL;
-- A delivery without a device is made into one for each device when it is leased.
ALTER TABLE deliveries ADD COLUMN device_id uuid;
-- The first time that it left, the times that it was sent again, and the receipt of the device.
ALTER TABLE deliveries ADD COLUMN sent_at timestamptz;
ALTER TABLE deliveries ADD COLUMN resends integer NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN received_at timestamptz;
