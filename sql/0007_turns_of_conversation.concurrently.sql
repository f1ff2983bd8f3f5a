-- The order of a conversation's turns, in an index that only a statement which names the conversation can use. In a
-- database without statistics one turn by its id seemed as near in the order of all turns as in the primary key, and a
-- connection keeps such a plan while the tables grow.
create index concurrently turns_of_conversation on turns (tenant_id, conversation_id, created_at, id)
  where conversation_id is not null;
