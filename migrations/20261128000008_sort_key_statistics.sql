-- How sort keys are spread. Postgres takes no statistics from partial indexes, and without them it holds every range of a key for a third of all
-- rows: what a search finds before a place in the sort is looked for by both indexes at once where the range is small.
CREATE STATISTICS items_first_name_keys ON ((lower(first_name) || E'\001' || lower(last_name)) COLLATE "C") FROM items;
CREATE STATISTICS items_last_name_keys ON ((lower(last_name) || E'\001' || lower(first_name)) COLLATE "C") FROM items;
CREATE STATISTICS items_email_keys ON (lower(email) COLLATE "C") FROM items;
CREATE STATISTICS items_phone_keys ON (lower(phone) COLLATE "C") FROM items;
CREATE STATISTICS items_organization_keys ON (lower(organization_title) COLLATE "C") FROM items;
CREATE STATISTICS items_title_keys ON (lower(title) COLLATE "C") FROM items;
CREATE STATISTICS items_description_keys ON (lower(left(description, 128)) COLLATE "C") FROM items;
ANALYZE items;
