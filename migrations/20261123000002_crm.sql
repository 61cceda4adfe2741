-- The CRM by ids: what GraphQL, pages and the command line name is found without its tenant, and the history tells of groups too.

-- Whose contacts a row is about: the group that holds the item. Read along the primary key, newest first; rows of before have none.
ALTER TABLE history ADD COLUMN group_id bigint;
ALTER TABLE history DROP CONSTRAINT history_action_check;
ALTER TABLE history ADD CONSTRAINT history_action_check CHECK (action IN (
    'item_related', 'item_unrelated', 'item_created', 'item_edited', 'item_deleted', 'item_merged', 'item_moved', 'group_configured'));

-- Ids come from outside without a tenant; these find it.
CREATE INDEX items_id ON items (id, root_id);
CREATE INDEX groups_id ON groups (id, root_id);
-- The way down the tree.
CREATE INDEX groups_parent ON groups (parent_id, root_id);
