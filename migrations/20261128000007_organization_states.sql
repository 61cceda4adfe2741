-- Autocompletion looks for the contacts of organizations state by state, and the inactive ones are few among many.
DROP INDEX items_organization;
CREATE INDEX items_organization ON items (root_id, organization_id, state) WHERE organization_id IS NOT NULL;
