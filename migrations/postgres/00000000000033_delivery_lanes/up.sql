-- Clinics share sixteen lanes of the outbox, so that what one of them has waiting holds no other.
ALTER TABLE deliveries ADD COLUMN lane integer NOT NULL DEFAULT 0;
CREATE INDEX deliveries_lane ON deliveries (lane, due_at) WHERE state = 'waiting';
