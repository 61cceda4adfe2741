-- Contacts without an e-mail address are known by all their fields: an import that is repeated finds them by their names.
CREATE INDEX items_contact_namesakes ON items (root_id, group_id, lower(title)) WHERE kind = 'contact' AND email IS NULL;
