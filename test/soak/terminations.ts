// The database ends its connections again and again, at any moment of any transaction, while visitors ask.
import { expect } from "bun:test";
import { fleet } from "../fleet.ts";
import { openLedger } from "../ledger.ts";

/** Longer than the database is ever away, so that no run loses its turn; short enough to wait for what was orphaned. */
const lease = { LEASE_MS: "5000", LEASE_RENEW_MS: "500", DATABASE_POOL_SIZE: "4" };

export async function terminations(durationMs: number): Promise<void> {
  const ground = await fleet(lease, { acme: "", globex: "" });
  const servers = [await ground.start(), await ground.start()];
  const ledger = await openLedger(ground);
  const pick = () => servers[Math.floor(Math.random() * servers.length)]?.url;

  const leave = AbortSignal.timeout(durationMs);
  const asking = ledger.visitors(20, ["acme", "globex"], pick, leave);
  let ended = 0;
  while (!leave.aborted) {
    await Bun.sleep(Math.random() * 200);
    const rows = await ground.sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'cip'`;
    ended += rows.length;
  }
  await asking;

  expect(await ledger.problems(20_000)).toEqual([]);
  const { interrupted, done } = await ledger.outcomes();
  console.log("terminations:", { ended, done, interrupted, refusals: ledger.refusals });
  expect(interrupted).toBeUndefined();
  // Nothing is stuck: many more than the pool has connections are served at once.
  const calm = await Promise.all(Array.from({ length: 40 }, () => fetch(`${pick()}/readyz`)));
  expect(calm.filter(({ status }) => status !== 200)).toEqual([]);
  for (const server of servers) expect(await server.stop()).toBe(0);
}
