-- Spent refresh tokens are forgotten: the worker looks at the low end.
CREATE INDEX refresh_tokens_spent ON refresh_tokens (spent_at) WHERE spent_at IS NOT NULL;
