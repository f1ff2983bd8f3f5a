// What every test may lean on: things are put away at the end of the run, waiting has a deadline, gaps are said.
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const repository = join(import.meta.dir, "..");

const folders = new Set<string>();
const processes = new Set<{ kill: (signal: NodeJS.Signals) => unknown }>();
const goodbyes: (() => unknown)[] = [];

/** An empty folder of this run's own; it goes with the run. */
export function temporaryFolder(parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, "cip-test-"));
  folders.add(folder);
  return folder;
}

/** Remembers a child process until it has ended, so that it never outlives the run. */
export function untilItExits<P extends { kill: (signal: NodeJS.Signals) => unknown }>(
  child: P,
  exited: Promise<unknown>,
): P {
  processes.add(child);
  exited.finally(() => processes.delete(child)).catch(() => {});
  return child;
}

/** Runs `goodbye` once after the last test, latest first. */
export function atTheEnd(goodbye: () => unknown): void {
  goodbyes.push(goodbye);
}

/** The orderly end: everything may take its leave, then what is left is cut down. */
export async function end(): Promise<void> {
  for (const goodbye of goodbyes.splice(0).reverse()) await goodbye();
  cutDown();
}

/** The end that may not wait: for signal handlers and `exit`, hence synchronous. */
export function cutDown(): void {
  for (const child of processes) child.kill("SIGKILL");
  processes.clear();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  folders.clear();
}

/** Waits until `condition` holds (its value is not false, null or undefined) and gives that value. */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string,
  timeoutMs = 10_000,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + timeoutMs;
  while (true) {
    const value = await condition();
    if (value !== false && value !== null && value !== undefined)
      return value as Exclude<T, false | null | undefined>;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await Bun.sleep(10);
  }
}

/** `promise`, or a failure that says what was being waited for. */
export async function within<T>(promise: Promise<T>, what: string, timeoutMs = 10_000): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what}: not within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Says at the end of the run what this machine could not check; only for what no package can bring. */
export function leftOut(what: string, why: string): void {
  const notes = process.env.CIP_TEST_LEFT_OUT;
  if (notes) appendFileSync(notes, `${JSON.stringify({ what, why })}\n`);
  else console.warn(`left out: ${what} (${why})`);
}

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const address = server.address();
  await new Promise((closed) => server.close(closed));
  if (address === null || typeof address === "string") throw new Error("no TCP port was given");
  return address.port;
}
