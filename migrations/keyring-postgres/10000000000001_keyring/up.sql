CREATE TABLE wrapped_keys (
    subject_id uuid NOT NULL,
    number integer NOT NULL,
    purpose integer NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (subject_id, number)
);

