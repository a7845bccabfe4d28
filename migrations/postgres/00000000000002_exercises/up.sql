-- The history of entries serves exercise responses, too.
ALTER TABLE entry_history RENAME TO revisions;
ALTER TABLE revisions RENAME COLUMN entry_id TO item_id;

-- Beside the settings and with a revision of its own: nobody is to see that it changed.
ALTER TABLE patient_settings ADD COLUMN cautions bytea;
ALTER TABLE patient_settings ADD COLUMN cautions_rev bigint NOT NULL DEFAULT 0;

CREATE TABLE exercise_responses (
    patient_id uuid NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    meta bytea NOT NULL,
    meta_rev bigint NOT NULL,
    answers bytea,
    answers_rev bigint NOT NULL,
    distress bytea,
    distress_rev bigint NOT NULL,
    draft boolean NOT NULL,
    prompt_id uuid,
    assignment_id uuid,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    purge_at timestamptz,
    PRIMARY KEY (patient_id, id)
);
CREATE TABLE assignments (
    patient_id uuid NOT NULL,
    id uuid NOT NULL,
    link_id uuid NOT NULL,
    author_id uuid NOT NULL,
    doc bytea NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    mac bytea NOT NULL,
    PRIMARY KEY (patient_id, id)
);

CREATE INDEX exercise_responses_list ON exercise_responses (patient_id, occurred_at, id) WHERE deleted_at IS NULL;
CREATE INDEX exercise_responses_assignment ON exercise_responses (patient_id, assignment_id) WHERE assignment_id IS NOT NULL;
CREATE INDEX exercise_responses_purge ON exercise_responses (purge_at) WHERE purge_at IS NOT NULL;
