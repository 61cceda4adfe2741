-- The issues of a group are read project by project, from the newest.
CREATE INDEX issues_project ON issues (root_id, project_id, id);
