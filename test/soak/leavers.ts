// Visitors who leave at random moments, of which a server must keep nothing: no memory, no file descriptor.
import { expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { call, visitor } from "../client.ts";
import { fleet } from "../fleet.ts";
import { answer } from "../model.ts";
import { leftOut, until } from "../support.ts";

const leaversCount = 20;
/** What a heap that is collected now and then may gain without anything being kept. */
const growthMbMax = 80;

export async function leavers(durationMs: number): Promise<void> {
  const { model, sql, start } = await fleet();
  model.always(() => [
    { text: "One " },
    ...Array.from({ length: 20 }, () => [{ pauseMs: 20 }, { text: "word ".repeat(20) }]).flat(),
    ...answer(),
  ]);
  const server = await start();
  const token = await visitor(server.url);
  const live = () => sql`select from turns where status in ('queued', 'running') limit 1`;
  const idle = () => until(async () => (await live()).length === 0, "every turn ends", 20_000);

  await crowd(server.url, token, AbortSignal.timeout(Math.min(10_000, durationMs / 2)));
  await idle();
  const before = held(server.pid);
  await crowd(server.url, token, AbortSignal.timeout(durationMs));
  await idle();
  const after = await until(async () => {
    const now = held(server.pid);
    return now.files <= before.files + 5 ? now : undefined;
  }, `the file descriptors are as many as they were (${before.files})`);
  const [{ count } = { count: 0 }] = await sql<{ count: number }[]>`select count(*)::integer from turns`;
  console.log("leavers:", { turns: count, before, after });
  expect(after.memoryMb).toBeLessThan(before.memoryMb + growthMbMax);
  const unfinished = await sql`select status from turns where status <> 'done'`;
  expect(unfinished.length).toBe(0);
  expect(await server.stop()).toBe(0);
}

/** Asks or follows, by turns, and leaves before, at or after the first words. */
async function crowd(url: string, token: string, leave: AbortSignal): Promise<void> {
  const come = async () => {
    while (!leave.aborted) {
      const gone = new AbortController();
      const timer = setTimeout(() => gone.abort(), Math.random() * 300);
      try {
        const accept = Math.random() < 0.5 ? "text/event-stream" : "application/json";
        const request = { token, signal: gone.signal, headers: { accept }, body: { message: "Hi" } };
        const response = await call(url, "POST", "/v1/default/turns", request);
        const path = response.headers.get("location");
        if (Math.random() < 0.5) await response.text();
        else if (path)
          await (await call(url, "GET", `${path}/stream`, { token, signal: gone.signal })).text();
      } catch (error) {
        if (!gone.signal.aborted) throw error;
      } finally {
        clearTimeout(timer);
        gone.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: leaversCount }, come));
}

/** Resident memory and open file descriptors of the process. */
function held(pid: number): { memoryMb: number; files: number } {
  if (process.platform !== "linux") {
    leftOut("what visitors who leave cost in memory and file descriptors", "it is read from /proc");
    return { memoryMb: 0, files: 0 };
  }
  const kb = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  return { memoryMb: Math.round(kb / 1024), files: readdirSync(`/proc/${pid}/fd`).length };
}
