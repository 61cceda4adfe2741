-- What Bitrix24 connections need beside the rest.

ALTER TABLE connections
    -- The portal's immutable id, which it says in each event; null until it is configured or the first proven event told it.
    ADD COLUMN member_id text;

-- The tokens of connections that use OAuth. Both are replaced at each refresh.
CREATE TABLE connection_tokens (
    connection_id    bigint PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
    access_sealed    bytea,
    refresh_sealed   bytea NOT NULL,
    -- SHA-256 of the refresh token in the configuration that this line of tokens began with: another one begins anew.
    declared         bytea NOT NULL,
    -- One process refreshes at a time.
    refreshing_until timestamptz
);
