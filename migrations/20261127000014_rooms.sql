-- What is known of the rooms of messengers, and of what people wrote there.

ALTER TABLE chat_members
    -- Why he is there: wanted, guest (added there, and no observer), stranger (added there, and nobody knows who he is), or leaving (being put out).
    ADD COLUMN standing text NOT NULL DEFAULT 'wanted' CONSTRAINT chat_members_standing_check CHECK (standing IN ('wanted', 'guest', 'stranger', 'leaving'));

ALTER TABLE chats
    -- Whether the messenger was last told that the room is open or closed; null before it was told anything.
    ADD COLUMN known_state text CONSTRAINT chats_known_state_check CHECK (known_state IN ('open', 'closed'));
-- For those that were not compared for the longest time.
CREATE INDEX chats_settled ON chats (connection_id, settled_at NULLS FIRST, id);

-- Messages that held commands, with the answer to each: a message that comes again runs nothing. A message is the messenger's, whichever
-- root group the chat belongs to by then.
CREATE TABLE chat_messages (
    connection_id bigint NOT NULL REFERENCES connections ON DELETE CASCADE,
    -- The message's id in the messenger.
    remote_id     text NOT NULL,
    -- The answer's own id, by which it is sent once.
    reply_id      uuid NOT NULL,
    reply_lines   jsonb NOT NULL,
    at            timestamptz NOT NULL,
    PRIMARY KEY (connection_id, remote_id)
);

ALTER TABLE link_codes
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
