// Requests to the functions of sql/0006_batches.sql. What is asked while batches are under way goes with the next one, so
// that under load many requests share one journey and one flush to the disk; a single one is on its way at once.
import type postgres from "postgres";
import { CipError } from "../errors.ts";
import * as metrics from "../metrics/metrics.ts";

const functions = ["take", "admit", "open_turn", "settle_turn"] as const;

/** What is asked of which function. They are called in the order above; the first that answers `stop` is the last. */
export type Steps = { [name in (typeof functions)[number]]?: object };
/** What came of each step that was taken. */
export type CameOf = { readonly [name in keyof Steps]: unknown };
export type Request = { tenant: string } & Steps;

/** One tenant's way to the functions. */
export type TenantCalls = {
  readonly tenantId: string;
  /** Throws what PostgreSQL reports of a step, which has then changed nothing, and CipError database_unavailable. */
  call(steps: Steps): Promise<CameOf>;
};

/** What PostgreSQL reports of a step (`code` as in its appendix A), and what came of those before it. */
export class StepError extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly hint: string | null,
    readonly cameOf: CameOf,
  ) {
    super(message);
  }
}

type Answer = CameOf & { error?: { code: string; message: string; hint: string | null } };

/** Has the server take all steps of all requests, each step in a transaction of its own. */
export async function doBatch(sql: postgres.Sql, requests: readonly Request[], patienceMs: number) {
  const [row] = await sql<{ came_of: Answer[] }[]>`
    call do_batch(${sql.json(requests as unknown as postgres.JSONValue)}, ${patienceMs}, null)`;
  return requests.map((_request, i): CameOf | StepError => {
    const { error, ...cameOf } = row?.came_of[i] ?? {};
    return error ? new StepError(error.message, error.code, error.hint, cameOf) : cameOf;
  });
}

/** Takes the steps within one transaction of the tenant. */
export async function callWithin(
  tx: postgres.TransactionSql,
  tenantId: string,
  steps: Steps,
): Promise<CameOf> {
  const cameOf: Record<string, unknown> = {};
  for (const name of functions) {
    if (!steps[name]) continue;
    const asked = tx.json(steps[name] as postgres.JSONValue);
    const [row] = await tx<{ came_of: { stop?: boolean } }[]>`
      select ${tx(name)}(${tenantId}, ${asked}) as came_of`;
    cameOf[name] = row?.came_of;
    if (row?.came_of.stop) break;
  }
  return cameOf;
}

type InTenant = (tenantId: string, work: (tx: TenantCalls) => Promise<CameOf>) => Promise<CameOf>;

/** Each step in a transaction begun from here: on Citus only a statement of ours tells its workers the tenant. */
export async function inTransactions(tenant: InTenant, tenantId: string, steps: Steps): Promise<CameOf> {
  let cameOf: CameOf = {};
  try {
    for (const name of functions) {
      const asked = steps[name];
      if (!asked) continue;
      const came = await tenant(tenantId, (tx) => tx.call({ [name]: asked }));
      cameOf = { ...cameOf, ...came };
      if ((came[name] as { stop?: boolean }).stop) break;
    }
    return cameOf;
  } catch (error) {
    if (error instanceof CipError) throw error;
    const { message, code, hint } = error as StepError;
    throw code ? new StepError(message, code, hint, cameOf) : error;
  }
}

/** Has all of the requests done, and gives what came of each, or why it failed. */
type Journey = (requests: readonly Request[], patienceMs: number) => Promise<(CameOf | Error)[]>;

type Waiting = { request: Request } & PromiseWithResolvers<CameOf>;
type Bounds = { journeysMax: number; requestsMax: number; patienceMs: number };

/** More journeys at once would be smaller ones, fewer would wait for their answers to be read. */
const together: Bounds = { journeysMax: 2, requestsMax: 32, patienceMs: 50 };
/**
 * What waits for a lock would hold up the others, so it is asked for once more by itself, beside them. Two such waits end
 * before its caller is told that the database has no time.
 */
const alone: Bounds = { journeysMax: 4, requestsMax: 1, patienceMs: 2_500 };
const heldUp = ["55P03", "40P01"];
/** Of the whole batch, before anything was done: a text that is no jsonb, or too much of it. */
const unreadable = /^(22|54)/;
const waitMs = 2_000;

/** `isShared`: the database has more than one session. */
export function batches(journey: Journey, isShared: boolean): Line {
  const bounds = (of: Bounds) => (isShared ? of : { ...of, journeysMax: 1 });
  return new Line(journey, bounds(together), new Line(journey, bounds(alone)));
}

/** Those who wait for a journey. */
export class Line {
  readonly #waiting = new Set<Waiting>();
  #underWay = 0;

  /** `beside`: where those go whom somebody else's lock holds up; without it they are refused. */
  constructor(
    readonly journey: Journey,
    readonly bounds: Bounds,
    readonly beside?: Line,
  ) {}

  ask(request: Request): Promise<CameOf> {
    const asked = { request, ...Promise.withResolvers<CameOf>() };
    this.#waiting.add(asked);
    if (this.#underWay < this.bounds.journeysMax) void this.#depart();
    else this.#bound(asked);
    return asked.promise;
  }

  /** Nobody waits for longer than others wait for a connection. */
  #bound(asked: Waiting): void {
    const timer = setTimeout(() => {
      if (this.#waiting.delete(asked)) giveUp(asked, new Error(`no batch departed within ${waitMs} ms`));
    }, waitMs);
    const over = () => clearTimeout(timer);
    asked.promise.then(over, over);
  }

  async #depart(): Promise<void> {
    this.#underWay++;
    while (this.#waiting.size > 0) {
      const batch = [...this.#waiting.values().take(this.bounds.requestsMax)];
      for (const asked of batch) this.#waiting.delete(asked);
      await this.#travel(batch);
    }
    this.#underWay--;
  }

  async #travel(batch: Waiting[]): Promise<void> {
    try {
      const requests = batch.map(({ request }) => request);
      const outcomes = await this.journey(requests, this.bounds.patienceMs);
      for (const [i, asked] of batch.entries()) this.#arrive(asked, outcomes[i]);
    } catch (error) {
      const isOnes = batch.length > 1 && unreadable.test(String((error as { code?: string }).code));
      for (const asked of batch) {
        if (isOnes) await this.#travel([asked]);
        else asked.reject(error);
      }
    }
  }

  #arrive(asked: Waiting, outcome: CameOf | Error | undefined): void {
    if (!outcome) asked.reject(new Error("a request came back without an answer"));
    else if (!(outcome instanceof Error)) asked.resolve(outcome);
    else if (!(outcome instanceof StepError && heldUp.includes(outcome.code))) asked.reject(outcome);
    else if (this.beside) goOn(asked, outcome.cameOf, this.beside);
    else giveUp(asked, outcome);
  }
}

/** Has the steps taken that were not yet. */
function goOn({ request, resolve, reject }: Waiting, before: CameOf, line: Line): void {
  const left = Object.entries(request).filter(([name]) => !(name in before));
  line.ask(Object.fromEntries(left) as unknown as Request).then(
    (after) => resolve({ ...before, ...after }),
    (error: unknown) => {
      if (!(error instanceof StepError)) return reject(error);
      const { message, code, hint, cameOf } = error;
      reject(new StepError(message, code, hint, { ...before, ...cameOf }));
    },
  );
}

function giveUp({ reject }: Waiting, cause: Error): void {
  metrics.databaseErrors.inc({ kind: "busy" });
  reject(new CipError("database_unavailable", { retryAfterSeconds: 2 }, { cause }));
}
