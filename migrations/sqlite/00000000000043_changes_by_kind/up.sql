-- Answers ask for the last change of an infusion (entity 2): while it is the same, the infusions are not all read again.
CREATE INDEX changes_infusions ON changes (patient_id, seq) WHERE entity = 2;
-- An entry that falls under rules of sharing asks for each of them which grants (entity 4) were revoked since.
CREATE INDEX changes_grants ON changes (patient_id, seq) WHERE entity = 4;
