-- Lists of leads, deals, invoices and custom items, in the order of their ids, their last change and their titles. Contacts and organizations
-- have lists of their own.
CREATE INDEX items_records ON items (root_id, group_id, id) WHERE kind NOT IN ('contact', 'organization');
CREATE INDEX items_records_by_update ON items (root_id, group_id, updated_at, id) WHERE kind NOT IN ('contact', 'organization');
CREATE INDEX items_records_by_title ON items (root_id, group_id, (lower(title)) COLLATE "C", id) WHERE kind NOT IN ('contact', 'organization');
-- The items of a type.
CREATE INDEX items_type ON items (type_id, root_id) WHERE type_id IS NOT NULL;
-- What was made from a lead.
CREATE INDEX items_converted_from ON items (converted_from_id, root_id) WHERE converted_from_id IS NOT NULL;
-- How far a job's conflicts went, and which chats its changes concern.
ALTER TABLE bulk_jobs ADD COLUMN chats bigint NOT NULL DEFAULT 0;
