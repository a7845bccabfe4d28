-- Sessions that ran out are forgotten: the worker looks at the low end.
CREATE INDEX sessions_expires ON sessions (expires_at);
