-- The instant at which the head of a chain that has grown is to be anchored in the keyring.
ALTER TABLE patient_heads ADD COLUMN anchor_due_at timestamptz;
ALTER TABLE account_heads ADD COLUMN anchor_due_at timestamptz;
CREATE INDEX patient_heads_anchor_due ON patient_heads (anchor_due_at) WHERE anchor_due_at IS NOT NULL;
CREATE INDEX account_heads_anchor_due ON account_heads (anchor_due_at) WHERE anchor_due_at IS NOT NULL;
