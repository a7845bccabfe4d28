-- Whether the patient may have a grant by rule (a mark of its sections, 16), which every new entry asks for: it stands
-- in the row that the entry locks anyway.
ALTER TABLE patient_heads ADD COLUMN has_rules BOOLEAN NOT NULL DEFAULT TRUE;
UPDATE patient_heads SET has_rules = EXISTS (
    SELECT 1 FROM grants
    WHERE grants.patient_id = patient_heads.patient_id AND sections >= 16 AND sections < 32 AND closed_at IS NULL
);
