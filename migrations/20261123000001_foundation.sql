-- The whole schema of the first release: who people are, the group tree, the CRM, and the road's inbox and outbox.
--
-- Tenant tables carry root_id, the id of the root group, in every key, so that the store can be spread by tenant. Where a table has
-- several ways in, root_id stands last in those that are used often: a plan made while a table is nearly empty may take any index
-- whose first column it knows, and one that begins with the tenant is then read from end to end.
-- States and kinds are text with a check, since enum values cannot be dropped. Constraint names are spelled out: code matches on them.
-- The tables that every delivery writes to have no checks: Postgres reads and plans each anew for every statement, which costs half as
-- much as writing the row. Their words have types in the code, and only those reach a statement.

-- Everybody's: connections and people ------------------------------------------------------------------------------

CREATE TABLE connections (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL CONSTRAINT connections_name_key UNIQUE,
    kind          text NOT NULL CONSTRAINT connections_kind_check
                  CHECK (kind IN ('gitlab', 'github', 'gitea', 'forgejo', 'bitrix24', 'matrix', 'mattermost', 'slack')),
    url           text NOT NULL,
    bot_username  text NOT NULL,
    -- The bot's immutable id on the other side, asked from there; null until it answered.
    bot_remote_id text,
    token_sealed  bytea,
    managed       boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL
);

CREATE TABLE people (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username   text NOT NULL,
    name       text NOT NULL,
    email      text,
    active     boolean NOT NULL DEFAULT true,
    managed    boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX people_username_key ON people (lower(username));

CREATE TABLE identities (
    connection_id bigint NOT NULL REFERENCES connections ON DELETE CASCADE,
    remote_id     text NOT NULL,
    person_id     bigint NOT NULL REFERENCES people ON DELETE CASCADE,
    username      text NOT NULL,
    is_bot        boolean NOT NULL DEFAULT false,
    managed       boolean NOT NULL DEFAULT false,
    PRIMARY KEY (connection_id, remote_id)
);
CREATE INDEX identities_person ON identities (person_id);

CREATE TABLE api_tokens (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id  bigint NOT NULL REFERENCES people ON DELETE CASCADE,
    name       text NOT NULL,
    -- SHA-256 of the token, which has 256 bits of chance and needs no slow hash.
    digest     bytea NOT NULL CONSTRAINT api_tokens_digest_key UNIQUE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);

-- The group tree ---------------------------------------------------------------------------------------------------

CREATE SEQUENCE group_ids;
CREATE TABLE groups (
    root_id          bigint NOT NULL,
    id               bigint NOT NULL DEFAULT nextval('group_ids'),
    parent_id        bigint,
    path             text NOT NULL,
    name             text NOT NULL,
    crm_enabled      boolean NOT NULL DEFAULT true,
    -- The group that holds the contacts of this one: itself for a root group, else what the nearest ancestor names.
    contact_group_id bigint NOT NULL,
    -- The contact source: the group that this one and those below it keep their contacts in, if not where their parent does.
    contact_source_id bigint,
    -- By what contacts are related to issues without anybody's command: null where the parent's choice counts, empty for not at all.
    automatic_relations text[] CONSTRAINT groups_automatic_relations_check CHECK (automatic_relations <@ ARRAY['author', 'participants', 'description']),
    connection_id    bigint REFERENCES connections,
    remote_id        text,
    remote_path      text,
    managed          boolean NOT NULL DEFAULT false,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (root_id, id),
    FOREIGN KEY (root_id, parent_id) REFERENCES groups (root_id, id),
    FOREIGN KEY (root_id, contact_group_id) REFERENCES groups (root_id, id) DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (root_id, contact_source_id) REFERENCES groups (root_id, id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT groups_root_check CHECK ((parent_id IS NULL) = (root_id = id))
);
CREATE UNIQUE INDEX groups_path_key ON groups (lower(path));
CREATE UNIQUE INDEX groups_remote_key ON groups (root_id, connection_id, remote_id);

CREATE TABLE projects (
    root_id       bigint NOT NULL,
    id            bigint GENERATED ALWAYS AS IDENTITY,
    group_id      bigint NOT NULL,
    connection_id bigint NOT NULL REFERENCES connections,
    remote_id     text NOT NULL,
    path          text NOT NULL,
    visibility    text NOT NULL CONSTRAINT projects_visibility_check CHECK (visibility IN ('private', 'internal', 'public')),
    -- When the tracker last said where the project is; -infinity asks for another look.
    checked_at    timestamptz NOT NULL,
    PRIMARY KEY (root_id, id),
    FOREIGN KEY (root_id, group_id) REFERENCES groups (root_id, id),
    CONSTRAINT projects_remote_key UNIQUE (root_id, connection_id, remote_id)
);

-- Levels that Liaison itself keeps, for groups whose tracker does not tell.
CREATE TABLE memberships (
    root_id    bigint NOT NULL,
    group_id   bigint NOT NULL,
    person_id  bigint NOT NULL REFERENCES people ON DELETE CASCADE,
    level      smallint NOT NULL CONSTRAINT memberships_level_check CHECK (level IN (10, 15, 20, 30, 40, 50)),
    expires_at timestamptz,
    managed    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (root_id, group_id, person_id),
    FOREIGN KEY (root_id, group_id) REFERENCES groups (root_id, id) ON DELETE CASCADE
);

-- What the tracker answered lately about somebody's level; 0 is "no member". A cache: dropped on member events.
CREATE TABLE access_levels (
    root_id         bigint NOT NULL,
    connection_id   bigint NOT NULL REFERENCES connections ON DELETE CASCADE,
    remote_user_id  text NOT NULL,
    scope           text NOT NULL CONSTRAINT access_levels_scope_check CHECK (scope IN ('group', 'project')),
    remote_scope_id text NOT NULL,
    level           smallint NOT NULL,
    checked_at      timestamptz NOT NULL,
    PRIMARY KEY (root_id, connection_id, remote_user_id, scope, remote_scope_id)
);

CREATE TABLE issues (
    root_id             bigint NOT NULL,
    id                  bigint GENERATED ALWAYS AS IDENTITY,
    project_id          bigint NOT NULL,
    remote_id           text NOT NULL,
    iid                 bigint NOT NULL,
    title               text NOT NULL,
    state               text NOT NULL,
    confidential        boolean NOT NULL,
    author_remote_id    text NOT NULL,
    assignee_remote_ids text[] NOT NULL,
    remote_updated_at   timestamptz NOT NULL,
    PRIMARY KEY (id, root_id),
    FOREIGN KEY (root_id, project_id) REFERENCES projects (root_id, id) ON DELETE CASCADE,
    CONSTRAINT issues_iid_key UNIQUE (project_id, iid, root_id)
);

-- The CRM ----------------------------------------------------------------------------------------------------------

-- One table of items: a contact and an organization are items like a deal or a lead, so they share ids, relations and history.
CREATE TABLE items (
    root_id         bigint NOT NULL,
    id              bigint GENERATED BY DEFAULT AS IDENTITY,
    group_id        bigint NOT NULL,
    kind            text NOT NULL CONSTRAINT items_kind_check CHECK (kind IN ('contact', 'organization')),
    state           text NOT NULL DEFAULT 'active' CONSTRAINT items_state_check CHECK (state IN ('active', 'inactive')),
    -- The name of an organization; "First Last" of a contact.
    title           text NOT NULL,
    first_name      text CONSTRAINT items_first_name_check CHECK (char_length(first_name) BETWEEN 1 AND 255),
    last_name       text CONSTRAINT items_last_name_check CHECK (char_length(last_name) BETWEEN 1 AND 255),
    email           text CONSTRAINT items_email_check CHECK (char_length(email) BETWEEN 1 AND 255),
    phone           text CONSTRAINT items_phone_check CHECK (char_length(phone) <= 32),
    description     text CONSTRAINT items_description_check CHECK (char_length(description) <= 1024),
    organization_id bigint,
    default_rate    numeric(18, 2),
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (root_id, id),
    FOREIGN KEY (root_id, group_id) REFERENCES groups (root_id, id),
    FOREIGN KEY (root_id, organization_id) REFERENCES items (root_id, id),
    CONSTRAINT items_contact_check CHECK (kind <> 'contact' OR num_nonnulls(first_name, last_name) = 2),
    CONSTRAINT items_organization_check
        CHECK (kind <> 'organization' OR (char_length(title) BETWEEN 1 AND 255 AND num_nonnulls(first_name, last_name, email, phone, organization_id) = 0))
);
CREATE UNIQUE INDEX items_contact_email_key ON items (root_id, group_id, lower(email)) WHERE kind = 'contact' AND email IS NOT NULL;
CREATE UNIQUE INDEX items_organization_name_key ON items (root_id, group_id, lower(title)) WHERE kind = 'organization';
CREATE INDEX items_organization ON items (root_id, organization_id) WHERE organization_id IS NOT NULL;

CREATE TABLE issue_items (
    root_id  bigint NOT NULL,
    issue_id bigint NOT NULL,
    item_id  bigint NOT NULL,
    added_by bigint REFERENCES people ON DELETE SET NULL,
    added_at timestamptz NOT NULL,
    PRIMARY KEY (root_id, issue_id, item_id),
    FOREIGN KEY (root_id, issue_id) REFERENCES issues (root_id, id) ON DELETE CASCADE,
    FOREIGN KEY (root_id, item_id) REFERENCES items (root_id, id) ON DELETE CASCADE
);
-- Without root_id, so that no plan takes it for a way to the relations of an issue: that is the primary key.
CREATE INDEX issue_items_item ON issue_items (item_id);

-- Who changed what, when, through what, why. Rows of one command share an operation, which `undo` takes back as a whole.
CREATE TABLE history (
    root_id     bigint NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    operation   uuid NOT NULL,
    at          timestamptz NOT NULL,
    actor_id    bigint REFERENCES people ON DELETE SET NULL,
    -- quick_action, graphql, page, import, tracker, automatic or command_line.
    via         text NOT NULL,
    delivery_id uuid,
    issue_id    bigint,
    item_id     bigint,
    -- item_related, item_unrelated, item_created, item_edited, item_deleted, item_merged, item_moved or group_configured.
    action      text NOT NULL,
    detail      jsonb NOT NULL DEFAULT '{}',
    undone_by   uuid,
    PRIMARY KEY (root_id, id)
);
CREATE INDEX history_undo ON history (issue_id, actor_id, root_id, id DESC);
CREATE INDEX history_item ON history (item_id, root_id, id DESC);
CREATE INDEX history_operation ON history (operation, root_id);

-- The road ---------------------------------------------------------------------------------------------------------

CREATE TABLE webhooks (
    root_id       bigint NOT NULL,
    id            bigint GENERATED ALWAYS AS IDENTITY,
    name          text NOT NULL,
    group_id      bigint NOT NULL,
    connection_id bigint NOT NULL REFERENCES connections,
    state         text NOT NULL DEFAULT 'active' CONSTRAINT webhooks_state_check CHECK (state IN ('active', 'paused', 'deleted')),
    managed       boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (root_id, id),
    FOREIGN KEY (root_id, group_id) REFERENCES groups (root_id, id)
);
-- The name is in the URL. A deleted webhook keeps its row, so that its URL answers 410 and its log stays readable.
CREATE UNIQUE INDEX webhooks_name_key ON webhooks (lower(name)) WHERE state <> 'deleted';

CREATE TABLE webhook_secrets (
    root_id    bigint NOT NULL,
    id         uuid NOT NULL,
    webhook_id bigint NOT NULL,
    kind       text NOT NULL CONSTRAINT webhook_secrets_kind_check CHECK (kind IN ('token', 'signing')),
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL,
    -- Set by rotation: until then the old secret is accepted beside the new one.
    expires_at timestamptz,
    PRIMARY KEY (root_id, id),
    FOREIGN KEY (root_id, webhook_id) REFERENCES webhooks (root_id, id) ON DELETE CASCADE
);

-- Inbox: what arrived, as it arrived. Bodies are bytes, since jsonb refuses \u0000 and costs twice as much to write.
CREATE TABLE deliveries (
    root_id     bigint NOT NULL,
    id          uuid NOT NULL,
    webhook_id  bigint NOT NULL,
    lane        bigint NOT NULL,
    dedupe_key  bytea NOT NULL,
    received_at timestamptz NOT NULL,
    -- A JSON object of the headers that matter, secrets left out.
    headers     text NOT NULL,
    body        bytea NOT NULL,
    -- pending, done, ignored or dead.
    state       text NOT NULL DEFAULT 'pending',
    attempts    smallint NOT NULL DEFAULT 0,
    next_at     timestamptz,
    -- One sentence: what came of it.
    outcome     text,
    settled_at  timestamptz,
    PRIMARY KEY (root_id, id)
);
CREATE UNIQUE INDEX deliveries_dedupe_key ON deliveries (dedupe_key, webhook_id, root_id);
CREATE INDEX deliveries_pending ON deliveries (lane, root_id, id) WHERE settled_at IS NULL;
CREATE INDEX deliveries_dead ON deliveries (root_id, id) WHERE state = 'dead';

-- The tables that every delivery writes to name their connection without a reference: the check would lock the one row of the
-- connection for each of them, and connections are never removed.

-- A comment that held commands: what it asked for, so that an edit runs only what it adds, and where the answer is.
CREATE TABLE comments (
    root_id         bigint NOT NULL,
    connection_id   bigint NOT NULL,
    remote_id       text NOT NULL,
    issue_id        bigint NOT NULL,
    -- When the other side last changed it; an older version that arrives late changes nothing.
    version         timestamptz NOT NULL,
    commands        jsonb NOT NULL,
    reply_id        uuid NOT NULL,
    reply_lines     jsonb NOT NULL,
    -- Whether the comment itself is hidden from readers who may see the issue.
    is_internal     boolean NOT NULL,
    -- Whether the answer stands apart, hidden from those readers; and whether it names customers.
    reply_internal  boolean NOT NULL,
    reply_names     boolean NOT NULL,
    reply_remote_id text,
    PRIMARY KEY (root_id, connection_id, remote_id),
    FOREIGN KEY (root_id, issue_id) REFERENCES issues (root_id, id) ON DELETE CASCADE
);

-- Outbox: calls that follow from a change, committed with it.
CREATE TABLE effects (
    root_id       bigint NOT NULL,
    id            uuid NOT NULL,
    delivery_id   uuid,
    connection_id bigint NOT NULL,
    -- reply or call.
    queue         text NOT NULL,
    lane          bigint NOT NULL,
    payload       jsonb NOT NULL,
    -- pending, done or dead.
    state         text NOT NULL DEFAULT 'pending',
    attempts      smallint NOT NULL DEFAULT 0,
    next_at       timestamptz,
    outcome       text,
    created_at    timestamptz NOT NULL,
    settled_at    timestamptz,
    -- The last attempt that was recorded.
    began_at      timestamptz,
    duration_ms   integer,
    PRIMARY KEY (root_id, id)
);
CREATE INDEX effects_pending ON effects (lane, queue, root_id, id) WHERE settled_at IS NULL;
CREATE INDEX effects_delivery ON effects (delivery_id, root_id);
CREATE INDEX effects_dead ON effects (root_id, delivery_id) WHERE state = 'dead';

-- Every recorded attempt of those effects that were not done by the first one.
CREATE TABLE effect_attempts (
    root_id     bigint NOT NULL,
    effect_id   uuid NOT NULL,
    attempt     smallint NOT NULL,
    at          timestamptz NOT NULL,
    duration_ms integer NOT NULL,
    outcome     text NOT NULL,
    PRIMARY KEY (root_id, effect_id, at),
    FOREIGN KEY (root_id, effect_id) REFERENCES effects (root_id, id) ON DELETE CASCADE
);

-- One row per lane with unsettled work. Whoever sets the lease works the lane alone until ready_at, when it is open to all again.
-- Unlogged: everything here follows from deliveries and effects, and is put together again from them after a crash of Postgres.
CREATE UNLOGGED TABLE lanes (
    root_id       bigint NOT NULL,
    queue         text NOT NULL,
    lane          bigint NOT NULL,
    connection_id bigint NOT NULL,
    ready_at      timestamptz NOT NULL,
    lease         uuid,
    PRIMARY KEY (root_id, queue, lane)
);
CREATE INDEX lanes_ready ON lanes (connection_id, queue, ready_at);

-- Queue tables turn over quickly: clean them early.
ALTER TABLE lanes SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.1);
-- A body of a usual size stays in its row: moving it out, or pressing it into two kilobytes, costs more than writing it.
ALTER TABLE deliveries SET (toast_tuple_target = 8160);
ALTER TABLE deliveries SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.2);
ALTER TABLE effects SET (autovacuum_vacuum_scale_factor = 0.05);

-- lz4 writes a third more rows per second than pglz, but not every server is built with it.
DO $$
BEGIN
    ALTER TABLE deliveries ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    RAISE NOTICE 'this server has no lz4: delivery bodies are compressed with pglz';
END $$;
