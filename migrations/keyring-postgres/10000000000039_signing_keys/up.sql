-- The generations of the key that signs access tokens, after the first: the root key makes each from its number.
CREATE TABLE signing_keys (
    number integer NOT NULL PRIMARY KEY,
    created_at timestamptz NOT NULL
);
