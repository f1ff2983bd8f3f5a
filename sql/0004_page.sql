-- What visitors think of an answer, and where on the site they asked.

alter table turns
  add column rating text check (rating in ('up', 'down')),
  add column comment text,
  -- {"url", "title", "fields"}: what the host page says of itself, for a prompt that asks for it.
  add column context jsonb;
