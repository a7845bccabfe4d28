-- A new grant can wait before its reader sees it: until then it can be taken back without a trace. The second column says
-- when the reader's feed is to be told.
ALTER TABLE grants ADD COLUMN visible_from INTEGER;
ALTER TABLE grants ADD COLUMN tell_at INTEGER;
CREATE INDEX grants_tell ON grants (tell_at) WHERE closed_at IS NULL AND tell_at IS NOT NULL;
