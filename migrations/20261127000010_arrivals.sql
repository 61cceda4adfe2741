-- A webhook's id is its own in all root groups, and a repeat is one though the webhook has moved in between: rows are put into the inbox
-- without asking first where their webhook is now.
CREATE UNIQUE INDEX deliveries_arrival_key ON deliveries (dedupe_key, webhook_id);
DROP INDEX deliveries_dedupe_key;
