-- Ways in for whoever knows an id or a path and not yet the tenant.

CREATE INDEX groups_id ON groups (id, root_id);
CREATE INDEX projects_id ON projects (id, root_id);
CREATE INDEX projects_path ON projects (lower(path), root_id);
CREATE INDEX items_id ON items (id, root_id);
