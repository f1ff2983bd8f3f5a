// The queue of waiting turns, which is their rows: any instance claims from it, the oldest first, fair between tenants.

import type { Config, Tenant } from "../config/config.ts";
import type { Database } from "../db/db.ts";
import { CipError } from "../errors.ts";
import { every } from "../every.ts";
import { log } from "../log.ts";
import { compose, historyBytesMax } from "../model/prompt.ts";
import { reserve } from "../rows/budgets.ts";
import { claimOldest, type Dead, isFull, settle, sweep, tenantsWaiting } from "../rows/claims.ts";
import { history } from "../rows/turns.ts";
import { marksOf } from "../trace.ts";
import type { Runs } from "./runs.ts";
import { tell } from "./settlement.ts";

const pollMs = 500;
/** With so many runs an instance leaves waiting turns to others. */
const runsMax = 1_000;

export class Queue {
  #end = new AbortController();
  #working = false;
  #poked = false;
  /** Whether the last look found turns waiting; only then is it worth another one as soon as a run has ended. */
  #waiting = false;

  /** `works`: whether this instance runs waiting turns, or leaves them to others. */
  constructor(
    readonly db: Database,
    readonly runs: Runs,
    readonly tenants: Config["tenants"],
    readonly works: boolean,
  ) {
    every(pollMs, () => this.poke(), this.#end.signal);
    // As often as the living give a sign of life, and once more: a lease is found to have ended soon after it has.
    every(runs.renewMs / 2, () => this.recover("expired"), this.#end.signal);
    runs.onFreed(() => this.#waiting && this.poke());
  }

  /** Says that there may be something to claim. */
  async poke(): Promise<void> {
    if (!this.works) return;
    this.#poked = true;
    if (this.#working) return;
    this.#working = true;
    try {
      while (this.#poked) {
        this.#poked = false;
        while (await this.#round());
      }
    } catch (error) {
      log.error({ err: error }, "waiting turns could not be claimed");
    } finally {
      this.#working = false;
    }
  }

  /** Takes turns from the dead: those that had said nothing are run again, the others are interrupted. */
  async recover(dead: Dead): Promise<void> {
    const swept = await this.db.system((tx) => sweep(tx, dead));
    const ended = swept.filter(({ status }) => status === "interrupted");
    for (const { tenant_id, id, trace } of ended)
      tell({ tenant_id, turn_id: id, ...marksOf(trace ?? undefined) }, { status: "interrupted" });
    const [interrupted, requeued] = [ended.length, swept.length - ended.length];
    if (swept.length > 0) log.warn({ requeued, interrupted }, "turns of a process that died");
  }

  close(): void {
    this.#end.abort();
  }

  /** Starts at most one turn of each tenant; false where there was none to start. */
  async #round(): Promise<boolean> {
    let started = false;
    const tenantIds = await this.db.system(tenantsWaiting);
    this.#waiting = tenantIds.length > 0;
    for (const tenantId of tenantIds) {
      const tenant = this.tenants.get(tenantId);
      if (!tenant) continue; // its file is gone; the turn waits for it to return
      if (this.runs.closing || this.runs.size >= runsMax) return false;
      if (await this.runs.track(this.#startOldest(tenant)).catch((error) => logged(error, tenantId)))
        started = true;
    }
    return started;
  }

  async #startOldest(tenant: Tenant): Promise<boolean> {
    const outcome = await this.db.tenant(tenant.id, async (tx) => {
      if (await isFull(tx, tenant.concurrentRunsMax)) return undefined;
      const waiting = await claimOldest(tx, this.runs.lease);
      if (!waiting) return undefined;
      const { conversationId, claim, message, userId, trace } = waiting;
      const past = await history(tx, conversationId, claim.turnId, historyBytesMax(tenant, message));
      const messages = compose(tenant, past, waiting);
      const reservation = await reserve(tx, this.runs.keys, { tenant, userId }, messages);
      if (!(reservation instanceof CipError)) return { claim, tenant, userId, messages, reservation, trace };
      const ending = { status: "failed", code: reservation.code } as const;
      await settle(tx, claim, [], ending);
      return { marks: { tenant_id: tenant.id, turn_id: claim.turnId, ...marksOf(trace) }, ending };
    });
    if (outcome?.ending) tell(outcome.marks, outcome.ending);
    else if (outcome) this.runs.start(outcome);
    return outcome !== undefined;
  }
}

/** One tenant's trouble is not another's. A conversation in which somebody began a turn just now is no trouble at all. */
function logged(error: unknown, tenantId: string): false {
  if ((error as { code?: string }).code !== "23505")
    log.error({ err: error, tenant_id: tenantId }, "a waiting turn could not be claimed");
  return false;
}
