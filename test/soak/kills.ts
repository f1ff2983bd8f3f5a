// Two instances of which one after the other is killed in the middle of its work, while visitors ask both.
import { expect } from "bun:test";
import { fleet, shortLease } from "../fleet.ts";
import { openLedger } from "../ledger.ts";
import type { Server } from "../server.ts";

export async function kills(durationMs: number): Promise<void> {
  const { start, ...rest } = await fleet(shortLease, { acme: "", globex: "" });
  const servers: (Server | undefined)[] = [await start(), await start()];
  const ledger = await openLedger({ start, ...rest });
  const alive = () => servers.filter((server) => server !== undefined);
  const pick = () => alive()[Math.floor(Math.random() * alive().length)]?.url;

  const leave = AbortSignal.timeout(durationMs);
  const asking = ledger.visitors(10, ["acme", "globex"], pick, leave);
  for (let i = 0; !leave.aborted; i = 1 - i) {
    await Bun.sleep(300 + Math.random() * 700);
    const victim = servers[i];
    victim?.kill("SIGKILL");
    await victim?.exited;
    servers[i] = undefined;
    // In the same folder it knows its runs for dead at once; in another one they have to lapse.
    const successor = Math.random() < 0.5 && victim ? { cwd: victim.cwd } : {};
    servers[i] = await start(successor);
  }
  await asking;

  expect(await ledger.problems(20_000)).toEqual([]);
  const outcomes = await ledger.outcomes();
  console.log("kills:", outcomes);
  expect(outcomes).toMatchObject({ done: expect.any(Number), interrupted: expect.any(Number) });
  for (const server of alive()) expect(await server.stop()).toBe(0);
}
