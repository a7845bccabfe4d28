-- Whether a response has a date on which it is still to come back: the plan reads only these. The next plan corrects it
-- for the responses that are stored already.
ALTER TABLE exercise_responses ADD COLUMN date_to_come boolean NOT NULL DEFAULT FALSE;
UPDATE exercise_responses SET date_to_come = TRUE;
CREATE INDEX exercise_responses_date_to_come ON exercise_responses (patient_id) WHERE date_to_come;
