-- The only row says whose keyring it is, and counts the changes of keys.
CREATE TABLE installation (
    one INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL,
    mac BLOB NOT NULL,
    generation INTEGER NOT NULL,
    missing INTEGER NOT NULL
);
