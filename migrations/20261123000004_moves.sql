-- Moves: groups and projects change their place, also from one root group to another.

-- root_id is in every key, so a move to another root changes keys in many tables, and the references between them hold again only when all
-- have followed. They are checked at once as before, except in a transaction that says otherwise.
ALTER TABLE groups ALTER CONSTRAINT groups_root_id_parent_id_fkey DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE projects ALTER CONSTRAINT projects_root_id_group_id_fkey DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE memberships ALTER CONSTRAINT memberships_root_id_group_id_fkey DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE issues ALTER CONSTRAINT issues_root_id_project_id_fkey DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE items ALTER CONSTRAINT items_root_id_group_id_fkey DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE items ALTER CONSTRAINT items_root_id_organization_id_fkey DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE issue_items ALTER CONSTRAINT issue_items_root_id_issue_id_fkey DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE issue_items ALTER CONSTRAINT issue_items_root_id_item_id_fkey DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE webhooks ALTER CONSTRAINT webhooks_root_id_group_id_fkey DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE webhook_secrets ALTER CONSTRAINT webhook_secrets_root_id_webhook_id_fkey DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE comments ALTER CONSTRAINT comments_root_id_issue_id_fkey DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE effect_attempts ALTER CONSTRAINT effect_attempts_root_id_effect_id_fkey DEFERRABLE INITIALLY IMMEDIATE;

-- The path under which the file declares a group that has left it: the declaration finds the group here.
ALTER TABLE groups ADD COLUMN declared_path text;
CREATE UNIQUE INDEX groups_declared_path_key ON groups (lower(declared_path)) WHERE declared_path IS NOT NULL;
-- Of a root group: the namespace that the tracker had it in when it was last asked, empty for none. Another one means that it was moved;
-- the same one, though that is a root group here too, means that it is meant to be a tenant of its own.
ALTER TABLE groups ADD COLUMN remote_parent_id text;

-- A group or project that is met is looked for in all roots: it may have come from another one.
CREATE INDEX groups_remote ON groups (connection_id, remote_id);
CREATE INDEX groups_unasked ON groups (connection_id, lower(remote_path)) WHERE remote_id IS NULL;
CREATE INDEX projects_remote ON projects (connection_id, remote_id);
-- What is below a group, or about an issue.
CREATE INDEX projects_group ON projects (root_id, group_id);
CREATE INDEX comments_issue ON comments (issue_id);
-- A webhook's id alone finds it, for deliveries that were on their way while it moved.
CREATE UNIQUE INDEX webhooks_id_key ON webhooks (id);

-- What a move is about to do, written down first: its report is counted from here, and every statement that follows reads it.
-- The rows live as long as the transaction of the move; nobody else sees them.
CREATE UNLOGGED TABLE transfer_groups (
    operation  uuid NOT NULL,
    group_id   bigint NOT NULL,
    old_root   bigint NOT NULL,
    new_root   bigint NOT NULL,
    old_holder bigint NOT NULL,
    new_holder bigint NOT NULL,
    -- The contact source that stays in reach.
    source     bigint,
    -- False for a group that stays where it is, while those that held its contacts go.
    goes       boolean NOT NULL,
    PRIMARY KEY (operation, group_id)
);
CREATE UNLOGGED TABLE transfer_items (
    operation uuid NOT NULL,
    item_id   bigint NOT NULL,
    old_root  bigint NOT NULL,
    new_root  bigint NOT NULL,
    -- The group that will hold it.
    holder    bigint NOT NULL,
    kind      text NOT NULL,
    -- What a duplicate is known by: e-mail or name, in small letters; none for what has no duplicate.
    known_by  text,
    -- moved: the item itself goes; copied: it stays too; merged: another one is there already.
    fate      text NOT NULL CONSTRAINT transfer_items_fate_check CHECK (fate IN ('moved', 'copied', 'merged')),
    -- Whether it leaves its group.
    leaves    boolean NOT NULL,
    -- Its id afterwards.
    becomes   bigint NOT NULL,
    PRIMARY KEY (operation, item_id, holder)
);
