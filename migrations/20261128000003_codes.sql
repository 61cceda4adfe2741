-- A delivery that is tried again, since the messenger did not answer, does not use up the codes of whoever waits for one. Codes end after
-- minutes: the few that are out are given anew.
DELETE FROM link_codes;
ALTER TABLE link_codes ADD COLUMN delivery_id uuid NOT NULL;
