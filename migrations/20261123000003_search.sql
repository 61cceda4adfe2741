-- What lists, search, counts and autocompletion read. Writers write the plain columns of items and nothing else: all that is here is
-- generated, or kept by triggers on whole statements, so that it is right for whatever writes.
--
-- Text is compared in lower case and by code point (COLLATE "C"): a prefix is then one range of an index, and the order is the same on
-- every server.

DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
    RAISE EXCEPTION 'search needs the extension pg_trgm, which cannot be created: %', SQLERRM
        USING HINT = 'Install the contrib modules of PostgreSQL (Debian: part of postgresql-15), then have the owner of the database run CREATE EXTENSION pg_trgm.';
END $$;

-- Derived columns --------------------------------------------------------------------------------------------------

-- The name of the contact's organization, so that it can be sorted by and searched; triggers keep it, writers leave it alone.
ALTER TABLE items ADD COLUMN organization_title text;

UPDATE items SET organization_title = organization.title
FROM items AS organization
WHERE organization.root_id = items.root_id AND organization.id = items.organization_id;

-- What is looked through: a field per line, so that nothing is found across two of them but for the full name; a blank before each, so
-- that "begins a word" is "follows a blank".
ALTER TABLE items ADD COLUMN search_text text NOT NULL GENERATED ALWAYS AS (lower(
    ' ' || coalesce(first_name || ' ' || last_name, title)
    || E'\n ' || coalesce(email, '') || E'\n ' || coalesce(phone, '')
    || E'\n ' || coalesce(organization_title, '') || E'\n ' || coalesce(description, ''))) STORED;

-- Sorting ----------------------------------------------------------------------------------------------------------

-- One index per sort. The state stands before the key; a list of all states merges two ranges. Names go on with the other name, which
-- puts namesakes in order and makes "john do" a range. A description is cut, since a key must fit into a third of a page.
CREATE INDEX items_by_first_name ON items
    (root_id, group_id, state, (lower(first_name) || E'\001' || lower(last_name)) COLLATE "C", id) WHERE kind = 'contact';
CREATE INDEX items_by_last_name ON items
    (root_id, group_id, state, (lower(last_name) || E'\001' || lower(first_name)) COLLATE "C", id) WHERE kind = 'contact';
CREATE INDEX items_by_email ON items (root_id, group_id, state, lower(email) COLLATE "C", id) WHERE kind = 'contact';
CREATE INDEX items_by_phone ON items (root_id, group_id, state, lower(phone) COLLATE "C", id) WHERE kind = 'contact';
CREATE INDEX items_by_organization ON items (root_id, group_id, state, lower(organization_title) COLLATE "C", id) WHERE kind = 'contact';
CREATE INDEX items_by_title ON items (root_id, group_id, state, lower(title) COLLATE "C", id) WHERE kind = 'organization';
CREATE INDEX items_by_default_rate ON items (root_id, group_id, state, default_rate, id) WHERE kind = 'organization';
CREATE INDEX items_by_description ON items (root_id, group_id, kind, state, lower(left(description, 128)) COLLATE "C", id);
CREATE INDEX items_by_creation ON items (root_id, group_id, kind, state, created_at, id);
CREATE INDEX items_by_update ON items (root_id, group_id, kind, state, updated_at, id);

CREATE INDEX items_search ON items USING gin (search_text gin_trgm_ops);

-- The issues of a contact, page by page. Still without root_id, so that no plan takes it for a way to the relations of an issue.
DROP INDEX issue_items_item;
CREATE INDEX issue_items_item ON issue_items (item_id, issue_id);

-- Words and counts -------------------------------------------------------------------------------------------------

-- The words of items that begin none of their fields; those that do are ranges of the indexes above. A contact's are not those of its
-- organization, which lead to it by items_organization. No foreign key: the triggers below delete by the words that an item had, so
-- that no index by item is needed.
CREATE TABLE item_words (
    root_id  bigint NOT NULL,
    group_id bigint NOT NULL,
    kind     text NOT NULL,
    active   boolean NOT NULL,
    -- 1 a name, 2 the e-mail address.
    rank     smallint NOT NULL,
    word     text COLLATE "C" NOT NULL,
    item_id  bigint NOT NULL,
    PRIMARY KEY (root_id, group_id, kind, active, rank, word, item_id)
);

-- How many items there are, as sums of changes: writers only add rows, so that none waits for another; now and then they are summed up.
CREATE TABLE item_counts (
    root_id  bigint NOT NULL,
    group_id bigint NOT NULL,
    kind     text NOT NULL,
    state    text NOT NULL,
    change   bigint NOT NULL
);
CREATE INDEX item_counts_group ON item_counts (root_id, group_id, kind);

-- The words of a field after its first, each with a blank before it: what blanks part, and each run of letters and digits in it.
CREATE FUNCTION item_inner_words(field text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN field !~ '[^[:alnum:]]' THEN ''
    WHEN field !~ '[^[:alnum:]\s]' THEN regexp_replace(regexp_replace(field, '^\S*', ''), '\s+', ' ', 'g')
    ELSE regexp_replace(regexp_replace(field, '^\S*', ''), '\s+', ' ', 'g')
        || ' ' || regexp_replace(regexp_replace(field, '^[[:alnum:]]*', ''), '[^[:alnum:]]+', ' ', 'g')
END;

-- The rows that an item has there: each word once, with its best rank. What follows the @ of an address is one word, since every second
-- one ends in "com"; what comes before it is left out where a name says it already.
CREATE FUNCTION item_words_of(first_name text, last_name text, title text, email text) RETURNS TABLE (rank smallint, word text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 2
BEGIN ATOMIC
    SELECT min(line.rank)::smallint, word
    FROM (VALUES (1, lower(coalesce(item_inner_words(first_name) || item_inner_words(last_name), item_inner_words(title)))),
                 (2, lower(split_part(email, '@', 2) || item_inner_words(split_part(email, '@', 1))))) AS line (rank, words),
         string_to_table(line.words, ' ') AS word
    WHERE word <> '' AND (line.rank = 1 OR NOT (starts_with(lower(first_name), word) OR starts_with(lower(last_name), word)))
    GROUP BY word;
END;

INSERT INTO item_words (root_id, group_id, kind, active, rank, word, item_id)
SELECT root_id, group_id, kind, state = 'active', rank, word, id FROM items, item_words_of(first_name, last_name, title, email);

INSERT INTO item_counts (root_id, group_id, kind, state, change)
SELECT root_id, group_id, kind, state, count(*) FROM items GROUP BY root_id, group_id, kind, state;

-- Keeping them ----------------------------------------------------------------------------------------------------

-- The organization's row is locked as by a foreign key: if it is being renamed, the new name is waited for.
CREATE FUNCTION items_name_organization() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    named text;
BEGIN
    SELECT title INTO named FROM items
    WHERE root_id = NEW.root_id AND id = NEW.organization_id FOR KEY SHARE;
    -- Not there yet: both move to another root in one statement. Then its name is the one it had.
    IF NOT FOUND AND TG_OP = 'UPDATE' AND NEW.organization_id = OLD.organization_id THEN
        named := OLD.organization_title;
    END IF;
    NEW.organization_title := named;
    RETURN NEW;
END $$;

CREATE TRIGGER items_name_organization_of_new BEFORE INSERT ON items
    FOR EACH ROW WHEN (NEW.organization_id IS NOT NULL OR NEW.organization_title IS NOT NULL)
    EXECUTE FUNCTION items_name_organization();
CREATE TRIGGER items_name_organization_of_changed BEFORE UPDATE OF organization_id, organization_title, root_id ON items
    FOR EACH ROW WHEN ((OLD.organization_id, OLD.organization_title, OLD.root_id)
                       IS DISTINCT FROM (NEW.organization_id, NEW.organization_title, NEW.root_id))
    EXECUTE FUNCTION items_name_organization();

-- Whoever is about to name this organization holds its key; the rename waits for him, and so finds his contact below.
CREATE FUNCTION items_await_naming() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM items WHERE root_id = OLD.root_id AND id = OLD.id FOR UPDATE;
    RETURN NEW;
END $$;

CREATE TRIGGER items_await_naming BEFORE UPDATE OF title ON items
    FOR EACH ROW WHEN (OLD.kind = 'organization' AND OLD.title <> NEW.title)
    EXECUTE FUNCTION items_await_naming();

-- The statements below have no parameters, so that their plans are made once per connection, whether for one row or for a hundred
-- thousand: the settings leave only the plan that is right for both.

CREATE FUNCTION items_index_inserted() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    INSERT INTO item_words (root_id, group_id, kind, active, rank, word, item_id)
    SELECT root_id, group_id, kind, state = 'active', rank, word, id FROM new_rows, item_words_of(first_name, last_name, title, email);

    INSERT INTO item_counts (root_id, group_id, kind, state, change)
    SELECT root_id, group_id, kind, state, count(*) FROM new_rows GROUP BY root_id, group_id, kind, state;

    -- An organization that comes after its contacts in one statement.
    IF EXISTS (SELECT FROM new_rows WHERE kind = 'organization') THEN
        UPDATE items SET organization_title = organization.title
        FROM new_rows AS organization
        WHERE organization.kind = 'organization' AND items.root_id = organization.root_id AND items.organization_id = organization.id
          AND items.organization_title IS DISTINCT FROM organization.title;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION items_index_updated() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    -- Words change with the names in them and with what their rows are keyed by; most edits change neither.
    -- Each is looked up by its whole key: a join may read all words of a group for every item.
    DELETE FROM item_words WHERE ctid = ANY(ARRAY(
        SELECT known.ctid FROM (
            SELECT root_id, group_id, kind, state, id, first_name, last_name, title, email FROM old_rows
            EXCEPT SELECT root_id, group_id, kind, state, id, first_name, last_name, title, email FROM new_rows) AS gone
        CROSS JOIN LATERAL item_words_of(first_name, last_name, title, email) AS its
        CROSS JOIN LATERAL (
            SELECT ctid FROM item_words AS found
            WHERE found.root_id = gone.root_id AND found.group_id = gone.group_id AND found.kind = gone.kind
              AND found.active = (gone.state = 'active') AND found.rank = its.rank AND found.word = its.word COLLATE "C"
              AND found.item_id = gone.id
            LIMIT 1) AS known));
    INSERT INTO item_words (root_id, group_id, kind, active, rank, word, item_id)
    SELECT root_id, group_id, kind, state = 'active', rank, word, id
    FROM (SELECT root_id, group_id, kind, state, id, first_name, last_name, title, email FROM new_rows
          EXCEPT SELECT root_id, group_id, kind, state, id, first_name, last_name, title, email FROM old_rows) AS come,
         item_words_of(first_name, last_name, title, email);

    INSERT INTO item_counts (root_id, group_id, kind, state, change)
    SELECT root_id, group_id, kind, state, sum(change)
    FROM (SELECT root_id, group_id, kind, state, -1 AS change FROM old_rows
          UNION ALL SELECT root_id, group_id, kind, state, 1 FROM new_rows) AS changed
    GROUP BY root_id, group_id, kind, state HAVING sum(change) <> 0;

    IF EXISTS (SELECT FROM new_rows WHERE kind = 'organization') THEN
        UPDATE items SET organization_title = organization.title
        FROM new_rows AS organization
        WHERE organization.kind = 'organization' AND items.root_id = organization.root_id AND items.organization_id = organization.id
          AND items.organization_title IS DISTINCT FROM organization.title;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION items_index_deleted() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    DELETE FROM item_words WHERE ctid = ANY(ARRAY(
        SELECT known.ctid FROM old_rows AS gone
        CROSS JOIN LATERAL item_words_of(first_name, last_name, title, email) AS its
        CROSS JOIN LATERAL (
            SELECT ctid FROM item_words AS found
            WHERE found.root_id = gone.root_id AND found.group_id = gone.group_id AND found.kind = gone.kind
              AND found.active = (gone.state = 'active') AND found.rank = its.rank AND found.word = its.word COLLATE "C"
              AND found.item_id = gone.id
            LIMIT 1) AS known));

    INSERT INTO item_counts (root_id, group_id, kind, state, change)
    SELECT root_id, group_id, kind, state, -count(*) FROM old_rows GROUP BY root_id, group_id, kind, state;
    RETURN NULL;
END $$;

CREATE TRIGGER items_index_inserted AFTER INSERT ON items
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION items_index_inserted();
CREATE TRIGGER items_index_updated AFTER UPDATE ON items
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION items_index_updated();
CREATE TRIGGER items_index_deleted AFTER DELETE ON items
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION items_index_deleted();
