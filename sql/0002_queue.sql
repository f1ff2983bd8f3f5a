-- Turns that wait, that are asked for twice, that are taken over, and that replace one another.

alter table turns
  -- One request, one turn: the visitor's Idempotency-Key, and a hash of what was asked under it.
  add column idempotency_key text,
  add column request_hash text,
  -- Which installation runs it: after its own restart that one knows the run to be dead before the lease has ended.
  add column instance_id uuid,
  -- What a run that begins later needs of the request: the language that the visitor's browser asked for.
  add column language text,
  -- The turns that this one replaced, oldest first: ids of the same conversation.
  add column versions jsonb not null default '[]',
  -- Set on a replaced turn and on those that came after it: the turn that took its place.
  add column superseded_by uuid;

create unique index one_turn_a_key on turns (tenant_id, user_id, idempotency_key) where idempotency_key is not null;
create index turns_waiting on turns (tenant_id, created_at, id) where status = 'queued';
