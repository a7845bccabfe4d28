-- The history of entries serves exercise responses, too.
ALTER TABLE entry_history RENAME TO revisions;
ALTER TABLE revisions RENAME COLUMN entry_id TO item_id;

-- Beside the settings and with a revision of its own: nobody is to see that it changed.
ALTER TABLE patient_settings ADD COLUMN cautions BLOB;
ALTER TABLE patient_settings ADD COLUMN cautions_rev INTEGER NOT NULL DEFAULT 0;

CREATE TABLE exercise_responses (
    patient_id BLOB NOT NULL,
    id BLOB NOT NULL,
    version INTEGER NOT NULL,
    meta BLOB NOT NULL,
    meta_rev INTEGER NOT NULL,
    answers BLOB,
    answers_rev INTEGER NOT NULL,
    distress BLOB,
    distress_rev INTEGER NOT NULL,
    draft BOOLEAN NOT NULL,
    prompt_id BLOB,
    assignment_id BLOB,
    occurred_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    purge_at INTEGER,
    UNIQUE (patient_id, id)
);
CREATE TABLE assignments (
    patient_id BLOB NOT NULL,
    id BLOB NOT NULL,
    link_id BLOB NOT NULL,
    author_id BLOB NOT NULL,
    doc BLOB NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (patient_id, id)
);

CREATE INDEX exercise_responses_list ON exercise_responses (patient_id, occurred_at, id) WHERE deleted_at IS NULL;
CREATE INDEX exercise_responses_assignment ON exercise_responses (patient_id, assignment_id) WHERE assignment_id IS NOT NULL;
CREATE INDEX exercise_responses_purge ON exercise_responses (purge_at) WHERE purge_at IS NOT NULL;
