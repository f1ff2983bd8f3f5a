// Copies: rows that come from another database, added beside what a tenant has and never in the place of any of it.

import type { Context } from "../config/placeholders.ts";
import type { TenantTx } from "../db/db.ts";
import type { Part } from "./turns.ts";

/** `foreign` have an id that is another user's here; what is neither was there already. */
export type Stored = { added: number; foreign: number };

// Times are ISO 8601, in UTC and with milliseconds.
export type User = { id: string; name: string | null; email: string | null; updated_at: string };
export type Conversation = {
  id: string;
  user_id: string;
  title: string;
  created_at: string;
  updated_at: string;
};
export type Turn = {
  id: string;
  conversation_id: string;
  user_id: string;
  status: string;
  message: string;
  parts: Part[];
  finish_reason: string | null;
  input_tokens: number | null;
  output_tokens: number | null;
  error_code: string | null;
  versions: string[];
  superseded_by: string | null;
  rating: string | null;
  comment: string | null;
  context: Context | null;
  idempotency_key: string | null;
  request_hash: string | null;
  created_at: string;
  finished_at: string;
};

export async function addUsers(tx: TenantTx, rows: User[]): Promise<Stored> {
  const added = await tx`
    insert into users (tenant_id, id, name, email, updated_at)
    select ${tx.tenantId}::text, g.id, g.name, g.email, g.updated_at
    from jsonb_to_recordset(${tx.json(rows)}) as g (id text, name text, email text, updated_at timestamptz)
    on conflict do nothing
    returning id`;
  return { added: added.length, foreign: 0 };
}

export async function addConversations(tx: TenantTx, rows: Conversation[]): Promise<Stored> {
  const [stored] = await tx<Stored[]>`
    with given as (
      select * from jsonb_to_recordset(${tx.json(rows)})
        as g (id uuid, user_id text, title text, created_at timestamptz, updated_at timestamptz)
    ), added as (
      insert into conversations (tenant_id, id, user_id, title, created_at, updated_at)
      select ${tx.tenantId}::text, id, user_id, title, created_at, updated_at from given order by id
      on conflict do nothing
      returning id
    )
    select (select count(*) from added)::integer as added, (
      select count(*) from given g join conversations c
        on c.tenant_id = ${tx.tenantId} and c.id = g.id and c.user_id <> g.user_id
    )::integer as foreign`;
  return stored ?? { added: 0, foreign: 0 };
}

/** Of conversations that are there. A key that another turn has meanwhile stays with that one. */
export async function addTurns(tx: TenantTx, rows: Turn[]): Promise<Stored> {
  const [stored] = await tx<Stored[]>`
    with given as (
      select * from jsonb_to_recordset(${tx.json(rows)}) as g (
        id uuid, conversation_id uuid, user_id text, status text, message text, parts jsonb, finish_reason text,
        input_tokens integer, output_tokens integer, error_code text, versions jsonb, superseded_by uuid, rating text,
        comment text, context jsonb, idempotency_key text, request_hash text, created_at timestamptz,
        finished_at timestamptz)
    ), own as (
      select g.* from given g join conversations c
        on c.tenant_id = ${tx.tenantId} and c.id = g.conversation_id and c.user_id = g.user_id
    ), added as (
      insert into turns (tenant_id, id, conversation_id, user_id, status, message, parts, finish_reason, input_tokens,
        output_tokens, error_code, versions, superseded_by, rating, comment, context, idempotency_key, request_hash,
        created_at, finished_at)
      select ${tx.tenantId}::text, id, conversation_id, user_id, status, message, parts, finish_reason, input_tokens,
        output_tokens, error_code, versions, superseded_by, rating, comment, context,
        case when not exists (
          select from turns k
          where k.tenant_id = ${tx.tenantId} and k.user_id = own.user_id and k.idempotency_key = own.idempotency_key
            and k.id <> own.id
        ) then idempotency_key end,
        request_hash, created_at, finished_at
      from own
      on conflict do nothing
      returning id
    )
    select (select count(*) from added)::integer as added,
      ((select count(*) from given) - (select count(*) from own))::integer as foreign`;
  return stored ?? { added: 0, foreign: 0 };
}
