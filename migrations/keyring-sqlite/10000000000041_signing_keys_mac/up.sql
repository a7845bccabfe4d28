-- Rows without a MAC, or with another one, end the key before at once.
ALTER TABLE signing_keys ADD COLUMN mac BLOB;
