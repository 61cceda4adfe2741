-- The lanes of a tenant share three queues: comparing them begins with what differs.
ALTER TABLE lanes DROP CONSTRAINT lanes_pkey;
ALTER TABLE lanes ADD PRIMARY KEY (lane, root_id, queue);
