-- What Bitrix24 connections need beside the rest.

ALTER TABLE connections
    -- The portal's immutable id, which it says in each event; null until it is configured or the first proven event told it.
    ADD COLUMN member_id text;

-- The tokens of connections that use OAuth. Both are replaced at each refresh.
CREATE TABLE connection_tokens (
    connection_id    bigint PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
    access_sealed    bytea,
    refresh_sealed   bytea NOT NULL,
    -- SHA-256 of the refresh token in the configuration that this line of tokens began with: another one begins anew.
    declared         bytea NOT NULL,
    -- One process refreshes at a time.
    refreshing_until timestamptz
);

-- Items of portals that are kept equal with ours.
ALTER TABLE portal_links
    -- Set where our item may be another than when both were last compared. Whoever has them compared takes it back.
    ADD COLUMN due boolean NOT NULL DEFAULT true;
CREATE INDEX portal_links_due ON portal_links (connection_id) WHERE due;

CREATE FUNCTION portal_links_observers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE portal_links SET due = true
    FROM (SELECT DISTINCT root_id, item_id FROM changed) AS changed
    WHERE portal_links.root_id = changed.root_id AND portal_links.item_id = changed.item_id AND NOT portal_links.due;
    RETURN NULL;
END $$;
CREATE TRIGGER observers_portal_added AFTER INSERT ON observers
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION portal_links_observers();
CREATE TRIGGER observers_portal_removed AFTER DELETE ON observers
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION portal_links_observers();

CREATE FUNCTION portal_links_responsible() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE portal_links SET due = true WHERE root_id = NEW.root_id AND item_id = NEW.id AND NOT due;
    RETURN NULL;
END $$;
CREATE TRIGGER items_portal_responsible AFTER UPDATE OF responsible_id ON items
    FOR EACH ROW WHEN (OLD.responsible_id IS DISTINCT FROM NEW.responsible_id) EXECUTE FUNCTION portal_links_responsible();
