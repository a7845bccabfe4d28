-- The feed of each therapist: one number for each unit that changed something for them, and one row for each thing that
-- they see or have seen.
CREATE TABLE feed_heads (
    account_id uuid NOT NULL PRIMARY KEY,
    seq bigint NOT NULL,
    horizon_seq bigint NOT NULL
);
CREATE TABLE feed (
    account_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    link_id uuid NOT NULL,
    entity integer NOT NULL,
    item_id uuid NOT NULL,
    seq bigint NOT NULL,
    order_key uuid NOT NULL,
    sections integer NOT NULL,
    removed_at timestamptz,
    delivered_at timestamptz
);
-- Most changes ask who sees a thing, so the thing stands first.
CREATE UNIQUE INDEX feed_thing ON feed (patient_id, entity, item_id, account_id);
CREATE INDEX feed_walk ON feed (account_id, seq, order_key);
CREATE INDEX feed_link ON feed (link_id);
CREATE INDEX feed_removed ON feed (removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX grants_expiry ON grants (expires_at) WHERE closed_at IS NULL AND expires_at IS NOT NULL;
