-- What a unit has touched and left to later units, in parts: the ids of things, sixteen bytes each.
CREATE TABLE feed_backlog (
    patient_id BLOB NOT NULL,
    id BLOB NOT NULL,
    at INTEGER NOT NULL,
    entity INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    whole INTEGER NOT NULL,
    sections INTEGER NOT NULL,
    things BLOB NOT NULL,
    PRIMARY KEY (patient_id, id)
);
CREATE INDEX feed_backlog_at ON feed_backlog (at);
