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

/** What waits for a lock for longer would hold up others: it fails, and is then asked for by itself. */
const sharedPatienceMs = 50;
const heldUp = ["55P03", "40P01"];

type Answer = CameOf & { error?: { code: string; message: string; hint: string | null } };

/** Has the server take all steps of all requests, each step in a transaction of its own. */
export async function doBatch(sql: postgres.Sql, requests: readonly Request[], patienceMs: number) {
  const [row] = await sql<{ came_of: Answer[] }[]>`
    call do_batch(${sql.json(requests as unknown as postgres.JSONValue)}, ${`${patienceMs}ms`}, null)`;
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
export async function inTransactions(
  tenant: InTenant,
  { tenant: tenantId, ...steps }: Request,
): Promise<CameOf | Error> {
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
    return error as Error;
  }
}

/** Has all of the requests done, and gives what came of each, or why it failed. */
type Journey = (requests: readonly Request[], patienceMs: number) => Promise<(CameOf | Error)[]>;

type Waiting = { request: Request } & PromiseWithResolvers<CameOf>;

/** One would be idle while its answers are read; with more, batches are smaller. */
export const journeysMax = 2;
const requestsMax = 32;
const waitMs = 2_000;
const alonePatienceMs = 5_000;

export class Batches {
  readonly #waiting = new Set<Waiting>();
  #underWay = 0;

  constructor(
    readonly journey: Journey,
    readonly journeysMax: number,
  ) {}

  ask(request: Request): Promise<CameOf> {
    const asked = { request, ...Promise.withResolvers<CameOf>() };
    this.#waiting.add(asked);
    if (this.#underWay < this.journeysMax) void this.#depart();
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
      const batch = [...this.#waiting.values().take(requestsMax)];
      for (const asked of batch) this.#waiting.delete(asked);
      await this.#travel(batch);
    }
    this.#underWay--;
  }

  async #travel(batch: Waiting[]): Promise<void> {
    try {
      const outcomes = await this.journey(
        batch.map(({ request }) => request),
        sharedPatienceMs,
      );
      for (const [i, asked] of batch.entries()) {
        const outcome = outcomes[i];
        if (isHeldUp(outcome)) void this.#alone(asked);
        else finish(asked, outcome);
      }
    } catch (error) {
      for (const asked of batch) asked.reject(error);
    }
  }

  /** Beside the others, who need not wait for it. */
  async #alone(asked: Waiting): Promise<void> {
    try {
      const [outcome] = await this.journey([asked.request], alonePatienceMs);
      if (isHeldUp(outcome)) giveUp(asked, outcome);
      else finish(asked, outcome);
    } catch (error) {
      asked.reject(error);
    }
  }
}

function isHeldUp(outcome: unknown): outcome is StepError {
  return outcome instanceof StepError && heldUp.includes(outcome.code);
}

function giveUp({ reject }: Waiting, cause: Error): void {
  metrics.databaseErrors.inc({ kind: "busy" });
  reject(new CipError("database_unavailable", { retryAfterSeconds: 2 }, { cause }));
}

function finish({ resolve, reject }: Waiting, outcome: CameOf | Error | undefined): void {
  if (outcome instanceof Error) reject(outcome);
  else if (outcome) resolve(outcome);
  else reject(new Error("a request came back without an answer"));
}
