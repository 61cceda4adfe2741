-- A webhook's id is its own in all root groups, and a repeat is one though the webhook has moved in between: rows are put into the inbox
-- without asking first where their webhook is now.
CREATE UNIQUE INDEX deliveries_arrival_key ON deliveries (dedupe_key, webhook_id);
DROP INDEX deliveries_dedupe_key;

-- lz4 presses a body of a usual size into half of its row's page or less, in no more time than it takes to write the rest of the page, to
-- read it back and to write it again when the delivery is settled. MAIN has it pressed and left in its row; with pglz that costs too much.
DO $$
BEGIN
    ALTER TABLE deliveries ALTER COLUMN body SET COMPRESSION lz4, ALTER COLUMN headers SET COMPRESSION lz4;
    ALTER TABLE deliveries ALTER COLUMN body SET STORAGE MAIN, ALTER COLUMN headers SET STORAGE MAIN;
    ALTER TABLE deliveries RESET (toast_tuple_target);
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    RAISE NOTICE 'this server has no lz4: delivery bodies are stored as they are';
END $$;
