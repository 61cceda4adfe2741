-- Issues that move.

-- The issue that this one was moved to, as the tracker confirmed: its immutable remote id, and its row here if it is in the same tree.
ALTER TABLE issues ADD COLUMN moved_to_remote_id text;
ALTER TABLE issues ADD COLUMN moved_to_id bigint;
ALTER TABLE issues ADD CONSTRAINT issues_moved_to_fkey
    FOREIGN KEY (root_id, moved_to_id) REFERENCES issues (root_id, id) ON DELETE SET NULL (moved_to_id);
CREATE INDEX issues_moved_to ON issues (moved_to_id, root_id) WHERE moved_to_id IS NOT NULL;
