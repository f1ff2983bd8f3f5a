// Retention: what was said longer ago than a tenant keeps it goes, in small pieces, so that nobody at work notices.
// Whatever is still being answered stays until it is, and so does its conversation.
import type { Config } from "../config/config.ts";
import type { Database, TenantTx } from "../db/db.ts";
import * as conversations from "../rows/conversations.ts";
import { everyone } from "../rows/users.ts";

const conversationsAtOnce = 200;
const turnsAtOnce = 500;
const usersAtOnce = 1_000;

/** One round over the tenants that keep for a time only. Instances may do so side by side. */
export async function enforce(db: Database, tenants: Config["tenants"], end: AbortSignal): Promise<void> {
  for (const { id, retentionDays } of tenants.values())
    if (retentionDays !== undefined) await enforceOf(db, id, retentionDays, end);
}

async function enforceOf(db: Database, tenantId: string, days: number, end: AbortSignal): Promise<void> {
  const step = <T>(work: (tx: TenantTx) => Promise<T>) => gently(() => db.tenant(tenantId, work));
  let after: string | undefined;
  do {
    const ids = await step((tx) => page(tx, conversationsAtOnce, after));
    while (!end.aborted && (await step((tx) => removeOld(tx, ids, days))) === turnsAtOnce);
    after = ids.length === conversationsAtOnce ? ids.at(-1) : undefined;
  } while (after !== undefined && !end.aborted);
  while (!end.aborted && (await step((tx) => removeUnseen(tx, days, usersAtOnce))) === usersAtOnce);
}

/** Leaves at least as much time for others as it has taken. */
async function gently<T>(work: () => Promise<T>): Promise<T> {
  const startMs = performance.now();
  const result = await work();
  await Bun.sleep(performance.now() - startMs);
  return result;
}

/** Returns how many turns have gone. Locks in the order of ARCHITECTURE.md: conversations, then their turns. */
async function removeOld(tx: TenantTx, ids: string[], days: number): Promise<number> {
  const held = await hold(tx, ids, days);
  if (held.length === 0) return 0;
  const heldIds = held.map(({ id }) => id);
  const gone = await removeTurns(tx, heldIds, days, turnsAtOnce);
  await removeEmpty(tx, heldIds, days);
  const goneIds = gone.map(({ id }) => id);
  await unlist(tx, [...new Set(gone.map((turn) => turn.conversation_id))], goneIds);
  // A title quotes the first message, unless somebody has chosen another one.
  const quotes = ({ id, title }: Held) =>
    gone.some((turn) => turn.conversation_id === id && conversations.titleOf(turn.said) === title);
  for (const { id } of held.filter(quotes)) {
    const said = await oldest(tx, id);
    if (said !== undefined) await conversations.rename(tx, everyone, id, conversations.titleOf(said));
  }
  return gone.length;
}

const listed = (tx: TenantTx, ids: string[]) =>
  tx`(select e::uuid from jsonb_array_elements_text(${tx.json(ids)}) e)`;
const cutoff = (tx: TenantTx, days: number) => tx`now() - ${days} * interval '24 hours'`;
/** As much of a message as a title may quote. */
const beginning = (tx: TenantTx) => tx`left(btrim(message, ${" \t\r\n"}), 200) as said`;

/** The `limit` conversations after the one with the id `after`, by their ids. */
export async function page(tx: TenantTx, limit: number, after: string | undefined): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    select id from conversations
    where tenant_id = ${tx.tenantId} ${after ? tx`and id > ${after}` : tx``}
    order by id
    limit ${limit}`;
  return rows.map(({ id }) => id);
}

type Held = { id: string; title: string };

/** Locks those of the conversations in which there may be something old, and in which nothing is being answered. */
export async function hold(tx: TenantTx, ids: string[], days: number): Promise<Held[]> {
  return tx<Held[]>`
    select c.id, c.title from conversations c
    where c.tenant_id = ${tx.tenantId} and c.id in ${listed(tx, ids)}
      and (c.updated_at < ${cutoff(tx, days)} or exists (
        select from turns o
        where o.tenant_id = ${tx.tenantId} and o.conversation_id = c.id and o.created_at < ${cutoff(tx, days)}
      ))
      and not exists (
        select from turns l
        where l.tenant_id = ${tx.tenantId} and l.user_id = c.user_id and l.conversation_id = c.id
          and l.status in ('queued', 'running')
      )
    order by c.id
    for update of c skip locked`;
}

type Gone = { id: string; conversation_id: string; said: string };

/** By their time and not by their ids, for what was imported may have ids of any kind. */
export async function removeTurns(
  tx: TenantTx,
  conversationIds: string[],
  days: number,
  limit: number,
): Promise<Gone[]> {
  return tx<Gone[]>`
    delete from turns
    where tenant_id = ${tx.tenantId} and id in (
      select o.id from turns o
      where o.tenant_id = ${tx.tenantId} and o.conversation_id in ${listed(tx, conversationIds)}
        and o.created_at < ${cutoff(tx, days)} and o.finished_at is not null
      order by o.conversation_id, o.created_at, o.id
      limit ${limit}
    )
    returning id, conversation_id, ${beginning(tx)}`;
}

/** Takes the turns that are gone out of the versions that others list. */
export async function unlist(tx: TenantTx, conversationIds: string[], goneIds: string[]): Promise<void> {
  const gone = tx`${tx.json(goneIds)}::jsonb`;
  await tx`
    update turns set versions = coalesce(
      (select jsonb_agg(v order by n) from jsonb_array_elements_text(versions) with ordinality e (v, n) where not ${gone} ? v),
      '[]')
    where tenant_id = ${tx.tenantId} and conversation_id in ${listed(tx, conversationIds)}
      and exists (select from jsonb_array_elements_text(versions) v where ${gone} ? v)`;
}

/** What the oldest message of the conversation that is still shown begins with. */
export async function oldest(tx: TenantTx, conversationId: string): Promise<string | undefined> {
  const [row] = await tx<{ said: string }[]>`
    select ${beginning(tx)} from turns
    where tenant_id = ${tx.tenantId} and conversation_id = ${conversationId} and superseded_by is null
    order by created_at, id
    limit 1`;
  return row?.said;
}

export async function removeEmpty(tx: TenantTx, ids: string[], days: number): Promise<void> {
  await tx`
    delete from conversations c
    where c.tenant_id = ${tx.tenantId} and c.id in ${listed(tx, ids)} and c.updated_at < ${cutoff(tx, days)}
      and not exists (select from turns t where t.tenant_id = c.tenant_id and t.conversation_id = c.id)`;
}

/** Forgets users that the site has not vouched for since, and of whom there is no conversation. Returns how many. */
export async function removeUnseen(tx: TenantTx, days: number, limit: number): Promise<number> {
  const rows = await tx`
    delete from users
    where tenant_id = ${tx.tenantId} and id in (
      select u.id from users u
      where u.tenant_id = ${tx.tenantId} and u.updated_at < ${cutoff(tx, days)}
        and not exists (select from conversations c where c.tenant_id = u.tenant_id and c.user_id = u.id)
      limit ${limit}
    )
    returning id`;
  return rows.length;
}
