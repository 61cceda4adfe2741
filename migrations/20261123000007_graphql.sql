-- Ways in for whoever knows an id or a path of a project and not yet the tenant.

CREATE INDEX projects_id ON projects (id, root_id);
CREATE INDEX projects_path ON projects (lower(path), root_id);
