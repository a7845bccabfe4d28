-- Whether a new entry that is not shared may change the plan, which every new entry asks: it stands in the row that the
-- entry locks anyway. The next plan says so.
ALTER TABLE patient_heads ADD COLUMN awaits_entry boolean NOT NULL DEFAULT TRUE;
