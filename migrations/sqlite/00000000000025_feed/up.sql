-- The feed of each therapist: one number for each unit that changed something for them, and one row for each thing that
-- they see or have seen.
CREATE TABLE feed_heads (
    account_id BLOB NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,
    horizon_seq INTEGER NOT NULL
);
CREATE TABLE feed (
    account_id BLOB NOT NULL,
    patient_id BLOB NOT NULL,
    link_id BLOB NOT NULL,
    entity INTEGER NOT NULL,
    item_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    order_key BLOB NOT NULL,
    sections INTEGER NOT NULL,
    removed_at INTEGER,
    delivered_at INTEGER
);
-- Most changes ask who sees a thing, so the thing stands first.
CREATE UNIQUE INDEX feed_thing ON feed (patient_id, entity, item_id, account_id);
CREATE INDEX feed_walk ON feed (account_id, seq, order_key);
CREATE INDEX feed_link ON feed (link_id);
CREATE INDEX feed_removed ON feed (removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX grants_expiry ON grants (expires_at) WHERE closed_at IS NULL AND expires_at IS NOT NULL;
