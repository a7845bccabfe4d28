-- An entry and a response may have one id. What was opened before is kept for each of them: which it was is not known.
CREATE TABLE openings_by_kind (
    patient_id uuid NOT NULL,
    entity integer NOT NULL,
    item_id uuid NOT NULL,
    account_id uuid NOT NULL,
    opened_at timestamptz NOT NULL,
    PRIMARY KEY (patient_id, entity, item_id, account_id)
);
INSERT INTO openings_by_kind (patient_id, entity, item_id, account_id, opened_at)
SELECT o.patient_id, 1, o.item_id, o.account_id, o.opened_at FROM openings o
JOIN entries i ON i.patient_id = o.patient_id AND i.id = o.item_id
UNION ALL
SELECT o.patient_id, 9, o.item_id, o.account_id, o.opened_at FROM openings o
JOIN exercise_responses i ON i.patient_id = o.patient_id AND i.id = o.item_id;
DROP TABLE openings;
ALTER TABLE openings_by_kind RENAME TO openings;
ALTER INDEX openings_by_kind_pkey RENAME TO openings_pkey;
