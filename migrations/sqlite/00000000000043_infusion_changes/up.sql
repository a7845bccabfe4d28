-- Answers ask for the last change of an infusion (entity 2): while it is the same, the infusions are not all read again.
CREATE INDEX changes_infusions ON changes (patient_id, seq) WHERE entity = 2;
