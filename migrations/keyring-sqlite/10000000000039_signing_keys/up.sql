-- The generations of the key that signs access tokens, after the first: the root key makes each from its number.
CREATE TABLE signing_keys (
    number INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (number)
);
