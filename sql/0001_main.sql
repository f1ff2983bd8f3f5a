-- Conversations and turns of every tenant, and who may see which rows.
-- A tenant's rows are reached as the role cip_app, for which row-level security shows one tenant: app.tenant_id.
-- Every key begins with tenant_id, so the tables can be distributed by it.

-- Roles belong to the whole cluster: another database of it may make this one at the same moment.
do $$
begin
  if not exists (select from pg_roles where rolname = 'cip_app') then
    create role cip_app nologin;
  end if;
exception
  when duplicate_object or unique_violation then null;
end
$$;

-- Only a superuser may act as any role; everybody else must be a member of it.
do $$
begin
  perform set_config('role', 'cip_app', true);
  perform set_config('role', 'none', true);
exception
  when insufficient_privilege then
    execute format('grant cip_app to %I', current_user);
end
$$;

create table conversations (
  tenant_id text not null,
  id uuid not null,
  user_id text not null,
  title text not null,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  primary key (tenant_id, id)
);

create index conversations_newest on conversations (tenant_id, user_id, updated_at desc, id desc);

create table turns (
  tenant_id text not null,
  id uuid not null,
  conversation_id uuid not null,
  user_id text not null,
  status text not null check (status in ('queued', 'running', 'done', 'stopped', 'failed', 'interrupted')),
  message text not null,
  -- [{"type": "reasoning" | "text", "text": "…"}, …]: the answer as far as it was checkpointed, whole once settled
  parts jsonb not null default '[]',
  finish_reason text,
  input_tokens integer,
  output_tokens integer,
  error_code text,
  -- Every write of a run names its epoch; a run that lost its turn can write no more.
  epoch integer not null default 1,
  -- The instance that runs the turn must renew this time, or the turn counts as abandoned.
  lease_until timestamptz(3), -- in no index: renewing it stays a heap-only update
  stop_requested boolean not null default false,
  created_at timestamptz(3) not null default clock_timestamp(),
  finished_at timestamptz(3),
  primary key (tenant_id, id),
  foreign key (tenant_id, conversation_id) references conversations (tenant_id, id) on delete cascade,
  check ((finished_at is null) = (status in ('queued', 'running')))
);

create index turns_in_order on turns (tenant_id, conversation_id, created_at, id);
create unique index one_live_turn on turns (tenant_id, conversation_id) where status = 'running';

alter table conversations enable row level security;
create policy tenant on conversations to cip_app
  using (tenant_id = current_setting('app.tenant_id'))
  with check (tenant_id = current_setting('app.tenant_id'));

alter table turns enable row level security;
create policy tenant on turns to cip_app
  using (tenant_id = current_setting('app.tenant_id'))
  with check (tenant_id = current_setting('app.tenant_id'));

grant select, insert, update, delete on conversations, turns to cip_app;

-- Keys that all instances on this database share where none is configured. Not a tenant's: cip_app cannot read it.
create table instance_keys (
  name text primary key,
  value text not null
);
