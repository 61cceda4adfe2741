-- Whoever has items compared with those of a portal is told of each mark, and need not look for them all the time.
CREATE FUNCTION portal_links_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('liaison', 'portal_links');
    RETURN NULL;
END $$;
CREATE TRIGGER portal_links_marked AFTER INSERT OR UPDATE OF due ON portal_links
    FOR EACH ROW WHEN (NEW.due) EXECUTE FUNCTION portal_links_told();
