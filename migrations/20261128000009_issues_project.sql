-- The condition always holds, and only the lists of a group's issues say it: a statement that looks an issue up by its number cannot take this
-- index for as cheap as that of the numbers, as Postgres does while there are few issues, and read all of the project by the plan it keeps.
DROP INDEX issues_project;
CREATE INDEX issues_project ON issues (root_id, project_id, id) WHERE id > 0;
