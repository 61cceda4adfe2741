-- What somebody had typed when his session ended, while he signs in again at the OpenID provider.
CREATE TABLE kept_forms (
    -- SHA-256 of the secret with which his browser set out.
    digest     bytea NOT NULL,
    form       bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (digest)
);
