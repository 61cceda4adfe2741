-- What a webhook is for and how it does, as its page shows it.
ALTER TABLE webhooks
    -- The events that it is installed for and acts on; null for all.
    ADD COLUMN events text[] CONSTRAINT webhooks_events_check CHECK (events <@ ARRAY['comments', 'issues', 'members', 'tree']),
    -- Deliveries that were stored, repeats too, and when the last one was. Receivers add to them every few seconds.
    ADD COLUMN accepted bigint NOT NULL DEFAULT 0,
    ADD COLUMN accepted_at timestamptz,
    -- Requests that were turned away, when and why the last one was.
    ADD COLUMN refused bigint NOT NULL DEFAULT 0,
    ADD COLUMN refused_at timestamptz,
    ADD COLUMN refused_why text;
UPDATE webhooks SET accepted = known.count, accepted_at = known.last
FROM (SELECT root_id, webhook_id, count(*) AS count, max(received_at) AS last FROM deliveries GROUP BY root_id, webhook_id) AS known
WHERE webhooks.root_id = known.root_id AND webhooks.id = known.webhook_id;

-- Deliveries that are given up, of a tenant and of each webhook. It costs those that are not given up nothing.
DROP INDEX deliveries_dead;
CREATE INDEX deliveries_dead ON deliveries (root_id, webhook_id, id) WHERE state = 'dead';
