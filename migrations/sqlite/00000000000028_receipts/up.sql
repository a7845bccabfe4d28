-- What a patient may know of a reader and an item, as one thing with an id and a version: that the item was first sent
-- to the reader's app, and that they first opened it. It outlives the reader's feed.
CREATE TABLE receipts (
    patient_id BLOB NOT NULL,
    id BLOB NOT NULL,
    entity INTEGER NOT NULL,
    item_id BLOB NOT NULL,
    account_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    delivered_at INTEGER,
    opened_at INTEGER,
    UNIQUE (patient_id, id)
);
CREATE UNIQUE INDEX receipts_item ON receipts (patient_id, entity, item_id, account_id);
INSERT INTO receipts (patient_id, id, entity, item_id, account_id, version, delivered_at, opened_at)
SELECT o.patient_id, randomblob(16), o.entity, o.item_id, o.account_id, 1, f.delivered_at, o.opened_at FROM openings o
LEFT JOIN feed f ON f.patient_id = o.patient_id AND f.entity = o.entity AND f.item_id = o.item_id
    AND f.account_id = o.account_id;
INSERT INTO receipts (patient_id, id, entity, item_id, account_id, version, delivered_at)
SELECT f.patient_id, randomblob(16), f.entity, f.item_id, f.account_id, 1, f.delivered_at FROM feed f
WHERE f.entity IN (1, 9) AND f.delivered_at IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM openings o WHERE o.patient_id = f.patient_id AND o.entity = f.entity AND o.item_id = f.item_id
        AND o.account_id = f.account_id);
INSERT INTO changes (patient_id, seq, entity, entity_id, version, op, at)
SELECT r.patient_id, h.change_seq + row_number() OVER (PARTITION BY r.patient_id ORDER BY r.id), 11, r.id, 1, 1,
    coalesce(r.opened_at, r.delivered_at)
FROM receipts r JOIN patient_heads h ON h.patient_id = r.patient_id;
UPDATE patient_heads SET change_seq = change_seq +
    (SELECT count(*) FROM receipts r WHERE r.patient_id = patient_heads.patient_id);
DROP TABLE openings;
ALTER TABLE feed DROP COLUMN delivered_at;
-- The number below which changes that others followed may have been forgotten.
ALTER TABLE patient_heads ADD COLUMN horizon_seq INTEGER NOT NULL DEFAULT 0;
-- The ended grants and care links that may not stand in the revocation ledger yet.
CREATE TABLE revocations (
    patient_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    entity INTEGER NOT NULL,
    thing_id BLOB NOT NULL,
    UNIQUE (patient_id, seq)
);
