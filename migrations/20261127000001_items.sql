-- Items of every kind, who answers for them and who observes them, and their chats.

-- Items ------------------------------------------------------------------------------------------------------------

-- Types of a root group's own.
CREATE TABLE item_types (
    root_id    bigint NOT NULL,
    id         bigint GENERATED ALWAYS AS IDENTITY,
    name       text NOT NULL CONSTRAINT item_types_name_check CHECK (char_length(name) BETWEEN 1 AND 255),
    -- Whether its items have observers.
    observers  boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (root_id, id)
);
CREATE UNIQUE INDEX item_types_name_key ON item_types (root_id, lower(name));

ALTER TABLE items
    DROP CONSTRAINT items_kind_check,
    ADD CONSTRAINT items_kind_check CHECK (kind IN ('contact', 'organization', 'lead', 'deal', 'invoice', 'custom', 'estimate', 'signing_document')),
    -- The type of a custom item.
    ADD COLUMN type_id bigint,
    ADD COLUMN responsible_id bigint REFERENCES people ON DELETE SET NULL,
    -- False once the responsible left the chat by himself, so that nothing puts him back.
    ADD COLUMN responsible_in_chat boolean NOT NULL DEFAULT true,
    ADD COLUMN stage text CONSTRAINT items_stage_check CHECK (char_length(stage) <= 255),
    ADD COLUMN amount numeric(18, 2),
    -- ISO 4217.
    ADD COLUMN currency text CONSTRAINT items_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    -- The lead that a deal was made from.
    ADD COLUMN converted_from_id bigint,
    ADD CONSTRAINT items_type_check CHECK ((kind = 'custom') = (type_id IS NOT NULL)),
    ADD CONSTRAINT items_type_fkey FOREIGN KEY (root_id, type_id) REFERENCES item_types (root_id, id) DEFERRABLE INITIALLY IMMEDIATE;
CREATE INDEX items_responsible ON items (responsible_id, root_id, id) WHERE responsible_id IS NOT NULL;

-- Which contacts and organizations a deal, a lead or another item is about.
CREATE TABLE item_links (
    root_id   bigint NOT NULL,
    item_id   bigint NOT NULL,
    linked_id bigint NOT NULL,
    PRIMARY KEY (root_id, item_id, linked_id),
    FOREIGN KEY (root_id, item_id) REFERENCES items (root_id, id) ON DELETE CASCADE DEFERRABLE INITIALLY IMMEDIATE,
    FOREIGN KEY (root_id, linked_id) REFERENCES items (root_id, id) ON DELETE CASCADE DEFERRABLE INITIALLY IMMEDIATE
);
CREATE INDEX item_links_linked ON item_links (linked_id, root_id);

-- Observers --------------------------------------------------------------------------------------------------------

-- The list is the master; a chat passes back additions only.
CREATE TABLE observers (
    root_id      bigint NOT NULL,
    item_id      bigint NOT NULL,
    person_id    bigint NOT NULL REFERENCES people ON DELETE CASCADE,
    -- Whether he should be in the chat: false once he left it or was removed there.
    in_chat      boolean NOT NULL DEFAULT true,
    -- False where he was added to see new messages only.
    show_history boolean NOT NULL DEFAULT true,
    added_by     bigint REFERENCES people ON DELETE SET NULL,
    added_at     timestamptz NOT NULL,
    PRIMARY KEY (root_id, item_id, person_id),
    FOREIGN KEY (root_id, item_id) REFERENCES items (root_id, id) ON DELETE CASCADE DEFERRABLE INITIALLY IMMEDIATE
);
CREATE INDEX observers_person ON observers (person_id, root_id, item_id);

-- Chats ------------------------------------------------------------------------------------------------------------

-- The messenger room of an item. Kept without its item, so that a deleted item's room can be closed, and opened again when it comes back.
CREATE TABLE chats (
    root_id       bigint NOT NULL,
    id            bigint GENERATED ALWAYS AS IDENTITY,
    item_id       bigint NOT NULL,
    connection_id bigint NOT NULL REFERENCES connections,
    -- The room's id in the messenger; null until it was made.
    remote_id     text,
    url           text,
    -- Who may read what was written before he came: all, or from_joining.
    history       text NOT NULL CONSTRAINT chats_history_check CHECK (history IN ('all', 'from_joining')),
    -- open: to be there; closed: archived or deleted with its item; gone: somebody removed the room, or the bot from it.
    state         text NOT NULL CONSTRAINT chats_state_check CHECK (state IN ('open', 'closed', 'gone')),
    created_by    bigint REFERENCES people ON DELETE SET NULL,
    created_at    timestamptz NOT NULL,
    -- What the room is known to be called and who is known to lead it, so that only differences are told to the messenger.
    known_title   text,
    known_admin   text,
    -- When wanted and actual were last compared, and why they still differ.
    settled_at    timestamptz,
    problem       text,
    PRIMARY KEY (root_id, id)
);
CREATE UNIQUE INDEX chats_item_key ON chats (item_id, root_id);
CREATE UNIQUE INDEX chats_remote_key ON chats (connection_id, remote_id) WHERE remote_id IS NOT NULL;

-- Who was in a room when it was last looked at. One who is missing there and was present here left; one who is not here yet has to be added.
CREATE TABLE chat_members (
    root_id   bigint NOT NULL,
    chat_id   bigint NOT NULL,
    -- The user's id in the messenger.
    remote_id text NOT NULL,
    -- invited or joined.
    presence  text NOT NULL,
    -- Who added him, in the messenger's ids, where it tells.
    added_by  text,
    since     timestamptz NOT NULL,
    PRIMARY KEY (root_id, chat_id, remote_id),
    FOREIGN KEY (root_id, chat_id) REFERENCES chats (root_id, id) ON DELETE CASCADE DEFERRABLE INITIALLY IMMEDIATE
);

-- Additions by people who may not add observers, waiting for somebody who may.
CREATE TABLE observer_requests (
    root_id      bigint NOT NULL,
    item_id      bigint NOT NULL,
    person_id    bigint NOT NULL REFERENCES people ON DELETE CASCADE,
    requested_by bigint REFERENCES people ON DELETE SET NULL,
    requested_at timestamptz NOT NULL,
    PRIMARY KEY (root_id, item_id, person_id),
    FOREIGN KEY (root_id, item_id) REFERENCES items (root_id, id) ON DELETE CASCADE DEFERRABLE INITIALLY IMMEDIATE
);

-- An item of a portal's own CRM that is kept equal with one of ours: what both had when they were last compared.
CREATE TABLE portal_links (
    root_id        bigint NOT NULL,
    item_id        bigint NOT NULL,
    connection_id  bigint NOT NULL REFERENCES connections,
    entity_type_id bigint NOT NULL,
    remote_id      text NOT NULL,
    observers      text[] NOT NULL DEFAULT '{}',
    responsible    text,
    problem        text,
    PRIMARY KEY (root_id, item_id),
    FOREIGN KEY (root_id, item_id) REFERENCES items (root_id, id) ON DELETE CASCADE DEFERRABLE INITIALLY IMMEDIATE
);
CREATE UNIQUE INDEX portal_links_remote_key ON portal_links (connection_id, entity_type_id, remote_id, root_id);

-- Policies of a group; null where the parent's choice counts, and at the root the first one named.
ALTER TABLE groups
    -- The messenger in which chats of its items are made.
    ADD COLUMN messenger_id bigint REFERENCES connections,
    -- current, or legacy: leaving the chat ends observing too.
    ADD COLUMN chat_preset text CONSTRAINT groups_chat_preset_check CHECK (chat_preset IN ('current', 'legacy')),
    -- Who may make observers by adding them to a chat: readers of the item, its editors, or nobody without approval.
    ADD COLUMN invite_policy text CONSTRAINT groups_invite_policy_check CHECK (invite_policy IN ('readers', 'editors', 'approval')),
    -- What becomes of the responsible who is replaced: he observes on, or goes.
    ADD COLUMN reassignment text CONSTRAINT groups_reassignment_check CHECK (reassignment IN ('keep', 'drop')),
    -- Whether comments are answered with a reply, and with a reaction.
    ADD COLUMN replies boolean,
    ADD COLUMN reactions boolean;

-- People in messengers ---------------------------------------------------------------------------------------------

-- Whether the person wants no notices.
ALTER TABLE people ADD COLUMN quiet boolean NOT NULL DEFAULT false;

-- A one-time code by which a messenger's user proves to be a person: given in a direct message there, entered by the person here.
CREATE TABLE link_codes (
    -- SHA-256 of the code.
    digest        bytea PRIMARY KEY,
    connection_id bigint NOT NULL REFERENCES connections ON DELETE CASCADE,
    remote_id     text NOT NULL,
    username      text NOT NULL,
    expires_at    timestamptz NOT NULL
);
CREATE INDEX link_codes_user ON link_codes (connection_id, remote_id);

-- Bulk -------------------------------------------------------------------------------------------------------------

-- A change of many items, worked page by page; what is done is done, and a restart goes on after it.
CREATE TABLE bulk_jobs (
    root_id      bigint NOT NULL,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    -- All pages are one operation of the history.
    operation    uuid NOT NULL,
    actor_id     bigint NOT NULL REFERENCES people ON DELETE CASCADE,
    via          text NOT NULL,
    group_id     bigint NOT NULL,
    -- What is done to which items.
    task         jsonb NOT NULL,
    -- running, done, stopped or failed.
    state        text NOT NULL DEFAULT 'running',
    -- The last item that was worked.
    after_id     bigint NOT NULL DEFAULT 0,
    total        bigint NOT NULL,
    worked       bigint NOT NULL DEFAULT 0,
    changed      bigint NOT NULL DEFAULT 0,
    refused      bigint NOT NULL DEFAULT 0,
    problem      text,
    lease_until  timestamptz,
    created_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    PRIMARY KEY (root_id, id)
);
CREATE INDEX bulk_jobs_running ON bulk_jobs (id) WHERE state = 'running';
