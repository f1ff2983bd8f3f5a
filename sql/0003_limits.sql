-- Who visitors are to their site, how often they may come, and what they may spend in a day.

-- Users that the site vouches for, as far as it says who they are.
create table users (
  tenant_id text not null,
  id text not null, -- as in conversations.user_id
  name text,
  email text,
  updated_at timestamptz(3) not null default now(),
  primary key (tenant_id, id)
);

-- Token buckets as the generic cell rate algorithm keeps them: one time each. Unlogged, for after a crash of the
-- database every bucket may be full again.
create unlogged table buckets (
  tenant_id text not null,
  name text not null, -- of what, and a keyed hash of whose
  full_at timestamptz not null, -- when it will be full again
  primary key (tenant_id, name)
);

-- Tokens of one day (UTC): those used, and those that running turns may still use.
create table budgets (
  tenant_id text not null,
  day date not null,
  holder text not null, -- a keyed hash of whose; empty: of all the tenant's visitors together
  tokens bigint not null,
  primary key (tenant_id, day, holder)
);

alter table users enable row level security;
create policy tenant on users to cip_app
  using (tenant_id = current_setting('app.tenant_id'))
  with check (tenant_id = current_setting('app.tenant_id'));

alter table buckets enable row level security;
create policy tenant on buckets to cip_app
  using (tenant_id = current_setting('app.tenant_id'))
  with check (tenant_id = current_setting('app.tenant_id'));

alter table budgets enable row level security;
create policy tenant on budgets to cip_app
  using (tenant_id = current_setting('app.tenant_id'))
  with check (tenant_id = current_setting('app.tenant_id'));

grant select, insert, update, delete on users, buckets, budgets to cip_app;

-- For the tenant's backend, which reads the conversations of all its visitors.
create index conversations_of_tenant on conversations (tenant_id, updated_at desc, id desc);
-- For the bound on a visitor's unfinished answers.
create index turns_unfinished on turns (tenant_id, user_id) where status in ('queued', 'running');
