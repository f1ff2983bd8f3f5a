// How much: the tokens of a day (UTC), of a tenant and of each visitor. They are reserved before the model is asked and
// settled on what it used, so that turns side by side, on all instances, never have more reserved than there is.

import type { Tenant } from "../config/tenants.ts";
import type { SystemTx, TenantTx } from "../db/db.ts";
import { CipError } from "../errors.ts";
import type { Keys } from "../identity/keys.ts";
import { log } from "../log.ts";
import type { Message } from "../model/llm.ts";
import { tokensOf } from "../model/prompt.ts";
import type { Ending, Part } from "./turns.ts";

type Spender = { tenant: Tenant; userId: string };
type Budget = { holder: string; tokensMax: number };

/** Tokens that a turn may use. They count as used until it is settled, and for ever where its process dies before. */
export type Reservation = { day: string; holders: string[]; tokens: number; requestTokens: number };

/** All of the tenant's visitors together, as `holder`. */
const everybody = "";

/**
 * What bounds this visitor; without a bound nothing is counted. Everybody goes through the rows in this order, so that
 * no two wait for each other, and that of the tenant, which all its visitors share, is locked last.
 */
function budgetsOf(tx: TenantTx, keys: Keys, { tenant: { limits }, userId }: Spender): Budget[] {
  const bounds: [string, number | null | undefined][] = [
    [keys.holder(tx.tenantId, userId), limits.dailyTokensPerVisitorMax],
    [everybody, limits.dailyTokensMax],
  ];
  return bounds.flatMap(([holder, tokensMax]) => (tokensMax ? [{ holder, tokensMax }] : []));
}

/**
 * Reserves what one request and its answer may use, or nothing, and then returns why. Retries and the fallback may use
 * it more than once, and a model may say more than it is allowed: what it reports counts all the same. This is the last
 * statement of its transaction, so that the tenant's row is locked for the shortest time.
 */
export async function reserve(
  tx: TenantTx,
  keys: Keys,
  spender: Spender,
  messages: readonly Message[],
): Promise<Reservation | CipError | undefined> {
  const budgets = budgetsOf(tx, keys, spender);
  if (budgets.length === 0) return undefined;
  const requestTokens = messages.reduce((sum, { content }) => sum + tokensOf(content), 0);
  const tokens = requestTokens + spender.tenant.model.maxTokens;
  const holders = budgets.map(({ holder }) => holder);
  const rows = await add(tx, holders, tokens);
  const reservation: Reservation = { day: rows[0]?.day ?? "", holders, tokens, requestTokens };
  const refused = budgets.find(({ tokensMax }, i) => (rows[i]?.tokens ?? 0) > tokensMax);
  if (!refused) return reservation;
  await add(tx, holders, -tokens, reservation.day);
  return exhausted(spender.tenant.id, refused, tokens);
}

/** Why a turn that is to wait would find no room now. It reserves nothing before it runs. */
export async function refusal(
  tx: TenantTx,
  keys: Keys,
  spender: Spender,
  message: string,
): Promise<CipError | undefined> {
  const budgets = budgetsOf(tx, keys, spender);
  if (budgets.length === 0) return undefined;
  const tokens = tokensOf(message) + spender.tenant.model.maxTokens;
  const rows = await tx<{ holder: string; tokens: string }[]>`
    select holder, tokens from budgets
    where tenant_id = ${tx.tenantId} and day = (now() at time zone 'utc')::date
      and holder in (${keys.holder(tx.tenantId, spender.userId)}, ${everybody})`;
  const used = new Map(rows.map((row) => [row.holder, Number(row.tokens)]));
  const refused = budgets.find(({ holder, tokensMax }) => (used.get(holder) ?? 0) + tokens > tokensMax);
  return refused && exhausted(spender.tenant.id, refused, tokens);
}

/** Puts what the turn has used in the place of what was reserved for it. */
export async function settle(
  tx: TenantTx,
  { day, holders, tokens, requestTokens }: Reservation,
  ending: Ending,
  parts: readonly Part[],
): Promise<void> {
  await add(tx, holders, usedBy(ending, parts, requestTokens) - tokens, day);
}

/** What is used or reserved of this day, of those tenants that have used any. */
export async function usedToday(
  tx: SystemTx,
  tenantIds: readonly string[],
): Promise<{ tenantId: string; tokens: number }[]> {
  const rows = await tx<{ tenant_id: string; tokens: string }[]>`
    select b.tenant_id, b.tokens
    from jsonb_array_elements_text(${tx.json(tenantIds)}) as t (id) join budgets b on b.tenant_id = t.id
    where b.day = (now() at time zone 'utc')::date and b.holder = ${everybody}`;
  return rows.map((row) => ({ tenantId: row.tenant_id, tokens: Number(row.tokens) }));
}

/** As the model reports it. Else as much as was sent and said, for that may be billed however the turn ended. */
function usedBy(ending: Ending, parts: readonly Part[], requestTokens: number): number {
  if (ending.status === "done" && ending.usage) return ending.usage.input_tokens + ending.usage.output_tokens;
  if (ending.status === "failed" && parts.length === 0) return 0;
  return requestTokens + parts.reduce((sum, { text }) => sum + tokensOf(text), 0);
}

/** `day` is today unless given. The statements travel together. */
async function add(
  tx: TenantTx,
  holders: readonly string[],
  tokens: number,
  day: string | null = null,
): Promise<{ day: string; tokens: number }[]> {
  const results = holders.map(async (holder) => {
    const [row] = await tx<{ day: Date; tokens: string }[]>`
      insert into budgets as b (tenant_id, day, holder, tokens)
      values (${tx.tenantId}, coalesce(${day}::text::date, (now() at time zone 'utc')::date), ${holder}, ${tokens})
      on conflict (tenant_id, day, holder) do update set tokens = b.tokens + excluded.tokens
      returning day, tokens`;
    return { day: row?.day.toISOString().slice(0, 10) ?? "", tokens: Number(row?.tokens) };
  });
  return Promise.all(results);
}

function exhausted(tenantId: string, { holder, tokensMax }: Budget, tokens: number): CipError {
  if (tokens > tokensMax) {
    const detail = `One question and its answer may use ${tokens} tokens, and the budget of a whole day is ${tokensMax}.`;
    return new CipError("budget_exhausted", { detail });
  }
  if (holder === everybody) tell(tenantId);
  const whose = holder === everybody ? "this site's" : "your";
  const detail = `What is left of ${whose} tokens of this day (UTC) is not enough.`;
  return new CipError("budget_exhausted", { detail, retryAfterSeconds: secondsToMidnight() });
}

/** The last day on which each tenant was told of: of many that are refused, the log names the first. */
const toldOn = new Map<string, string>();

function tell(tenantId: string): void {
  const day = new Date().toISOString().slice(0, 10);
  if (toldOn.get(tenantId) === day) return;
  toldOn.set(tenantId, day);
  log.warn({ tenant_id: tenantId, day }, "the tokens of the day are used up, so messages are refused");
}

/** Until the next day begins (UTC), and with it new budgets. */
export function secondsToMidnight(): number {
  return 86_400 - (Math.floor(Date.now() / 1000) % 86_400);
}

const keptDays = 31;

/** Deletes what is too old for anybody to ask about. */
export async function sweep(tx: SystemTx): Promise<void> {
  await tx`delete from budgets where day < (now() at time zone 'utc')::date - ${keptDays}::integer`;
}
