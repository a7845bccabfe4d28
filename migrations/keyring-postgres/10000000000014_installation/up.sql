-- The only row says whose keyring it is, and counts the changes of keys.
CREATE TABLE installation (
    one integer NOT NULL PRIMARY KEY,
    id uuid NOT NULL,
    mac bytea NOT NULL,
    generation bigint NOT NULL,
    missing bigint NOT NULL
);
