-- What a unit has touched and left to later units, in parts: the ids of things, sixteen bytes each.
CREATE TABLE feed_backlog (
    patient_id uuid NOT NULL,
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    entity integer NOT NULL,
    opened boolean NOT NULL,
    whole boolean NOT NULL,
    sections integer NOT NULL,
    things bytea NOT NULL,
    PRIMARY KEY (patient_id, id)
);
CREATE INDEX feed_backlog_at ON feed_backlog (at);
