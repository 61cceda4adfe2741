-- How comments with commands are answered in a group and in those below it that have no say of their own: in words, since a reply may also be
-- given only when it is needed.
ALTER TABLE groups
    ALTER COLUMN replies TYPE text USING CASE WHEN replies THEN 'always' WHEN NOT replies THEN 'when_needed' END,
    ALTER COLUMN reactions TYPE text USING CASE WHEN reactions THEN 'always' WHEN NOT reactions THEN 'never' END,
    ADD CONSTRAINT groups_replies_check CHECK (replies IN ('always', 'when_needed')),
    ADD CONSTRAINT groups_reactions_check CHECK (reactions IN ('always', 'never'));
