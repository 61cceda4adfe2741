-- All lanes of a tenant are of one of two queues: comparing them begins with what differs.
ALTER TABLE lanes DROP CONSTRAINT lanes_pkey;
ALTER TABLE lanes ADD PRIMARY KEY (lane, root_id, queue);
