-- Issues that move, and contacts that are related by themselves.

-- By what contacts are related to issues without anybody's command: null where the parent's choice counts, empty for not at all.
ALTER TABLE groups DROP COLUMN relates_automatically;
ALTER TABLE groups ADD COLUMN automatic_relations text[]
    CONSTRAINT groups_automatic_relations_check CHECK (automatic_relations <@ ARRAY['author', 'participants', 'description']);

-- The issue that this one was moved to, as the tracker confirmed: its immutable remote id, and its row here if it is in the same tree.
ALTER TABLE issues ADD COLUMN moved_to_remote_id text;
ALTER TABLE issues ADD COLUMN moved_to_id bigint;
ALTER TABLE issues ADD CONSTRAINT issues_moved_to_fkey
    FOREIGN KEY (root_id, moved_to_id) REFERENCES issues (root_id, id) ON DELETE SET NULL (moved_to_id);
CREATE INDEX issues_moved_to ON issues (moved_to_id, root_id) WHERE moved_to_id IS NOT NULL;
