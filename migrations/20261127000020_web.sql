-- How people sign in to the pages. Everybody's, like the people themselves: no tenant is in it.

CREATE TABLE sessions (
    -- SHA-256 of the cookie, which has 256 bits of chance and needs no slow hash.
    digest     bytea NOT NULL,
    person_id  bigint NOT NULL REFERENCES people ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    -- When it was last used, to the minute.
    seen_at    timestamptz NOT NULL,
    -- When it ends however much it is used.
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (digest)
);
CREATE INDEX sessions_person ON sessions (person_id);

CREATE TABLE passwords (
    person_id bigint NOT NULL REFERENCES people ON DELETE CASCADE,
    -- Argon2id, in the PHC string format, with salt and cost.
    hash      text NOT NULL,
    set_at    timestamptz NOT NULL,
    PRIMARY KEY (person_id)
);

-- Links that sign somebody in once. A link that was used is deleted.
CREATE TABLE login_links (
    -- SHA-256 of the token in the link.
    digest     bytea NOT NULL,
    person_id  bigint NOT NULL REFERENCES people ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (digest)
);
CREATE INDEX login_links_person ON login_links (person_id);
