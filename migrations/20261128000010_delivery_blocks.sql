-- What came with deliveries, headers and bodies, those of one commit pressed together: they are much alike, and several take little more room
-- than one. A delivery's row is short, and is written again without them when it is settled.
CREATE TABLE delivery_blocks (
    -- The newest of the deliveries whose headers and bodies it holds.
    id      uuid PRIMARY KEY,
    -- Bytes of these, one delivery behind the other. Shorter content is an LZ4 block of them, other content is they.
    size    integer NOT NULL,
    content bytea NOT NULL
-- What is pressed already stays in its row.
) WITH (toast_tuple_target = 8160);

-- What is too long to be pressed on its way in is pressed by Postgres.
DO $$
BEGIN
    ALTER TABLE delivery_blocks ALTER COLUMN content SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    RAISE NOTICE 'this server has no lz4: long deliveries are pressed with pglz';
END $$;

INSERT INTO delivery_blocks (id, size, content)
SELECT id, octet_length(headers) + octet_length(body), convert_to(headers, 'UTF8') || body FROM deliveries;

ALTER TABLE deliveries
    ADD COLUMN block_id uuid,
    -- Where in the block its headers begin, a JSON object of those that matter, secrets left out; and their bytes, and those of the body behind them.
    ADD COLUMN block_from integer,
    ADD COLUMN headers_size integer,
    ADD COLUMN body_size integer;
UPDATE deliveries SET block_id = id, block_from = 0, headers_size = octet_length(headers), body_size = octet_length(body);
ALTER TABLE deliveries
    ALTER COLUMN block_id SET NOT NULL,
    ALTER COLUMN block_from SET NOT NULL,
    ALTER COLUMN headers_size SET NOT NULL,
    ALTER COLUMN body_size SET NOT NULL,
    DROP COLUMN headers,
    DROP COLUMN body,
    -- Sixteen bytes of a digest, in the type of that length: others are slower to compare.
    ALTER COLUMN dedupe_key TYPE uuid USING encode(dedupe_key, 'hex')::uuid;
