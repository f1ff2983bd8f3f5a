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
type Budget = { holder: string; tokens_max: number };

/** Tokens that a turn may use. They count as used until it is settled, and for ever where its process dies before. */
export type Reservation = { day: string; holders: string[]; tokens: number; requestTokens: number };

/** All of the tenant's visitors together, as `holder`. */
const everybody = "";

/**
 * What bounds this visitor; without a bound nothing is counted. Everybody goes through the rows in this order, so that
 * no two wait for each other, and that of the tenant, which all its visitors share, is locked last.
 */
export function budgetsOf(keys: Keys, { tenant: { id, limits }, userId }: Spender): Budget[] {
  const bounds: [string, number | null | undefined][] = [
    [keys.holder(id, userId), limits.dailyTokensPerVisitorMax],
    [everybody, limits.dailyTokensMax],
  ];
  return bounds.flatMap(([holder, tokensMax]) => (tokensMax ? [{ holder, tokens_max: tokensMax }] : []));
}

/** What a request may use, its answer included. */
export function tokensNeeded(tenant: Tenant, messages: readonly Message[]): number {
  return messages.reduce((sum, { content }) => sum + tokensOf(content), tenant.model.maxTokens);
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
  const budgets = budgetsOf(keys, spender);
  const tokens = tokensNeeded(spender.tenant, messages);
  if (budgets.length === 0) return undefined;
  const [row] = await tx<{ reserved: { day: string; exhausted: string | null } }[]>`
    select reserve(${tx.tenantId}, ${tx.json(budgets)}, ${tokens}) as reserved`;
  const { day = "", exhausted: whose } = row?.reserved ?? {};
  return typeof whose === "string"
    ? exhausted(keys, spender, whose, tokens)
    : reservationOf(spender.tenant, budgets, day, tokens);
}

/** What was reserved of each of the budgets; undefined where there is none. */
export function reservationOf(
  { model }: Tenant,
  budgets: readonly Budget[],
  day: string,
  tokens: number,
): Reservation | undefined {
  if (budgets.length === 0) return undefined;
  const holders = budgets.map(({ holder }) => holder);
  return { day, holders, tokens, requestTokens: tokens - model.maxTokens };
}

/** Of what was reserved, what was not used: negative, or positive where it was more. As the functions in SQL take it. */
export function correction(
  { day, holders, tokens, requestTokens }: Reservation,
  ending: Ending,
  parts: readonly Part[],
): { day: string; holders: string[]; spent: number } {
  return { day, holders, spent: usedBy(ending, parts, requestTokens) - tokens };
}

/** Puts what the turn has used in the place of what was reserved for it. */
export async function settle(
  tx: TenantTx,
  reservation: Reservation,
  ending: Ending,
  parts: readonly Part[],
): Promise<void> {
  const { day, holders, spent } = correction(reservation, ending, parts);
  await tx`select spend(${tx.tenantId}, ${tx.json(holders)}, ${spent}, ${day}::text::date)`;
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

/** Why nothing was reserved: `holder` has not so many tokens left. */
export function exhausted(keys: Keys, spender: Spender, holder: string, tokens: number): CipError {
  const tokensMax = budgetsOf(keys, spender).find((budget) => budget.holder === holder)?.tokens_max ?? 0;
  if (tokens > tokensMax) {
    const detail = `One question and its answer may use ${tokens} tokens, and the budget of a whole day is ${tokensMax}.`;
    return new CipError("budget_exhausted", { detail });
  }
  if (holder === everybody) tell(spender.tenant.id);
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
