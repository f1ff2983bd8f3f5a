// Two servers side by side, one small and one large in one respect, are asked the same by turns, so that whatever else
// the machine does meets both.
import type { Bench } from "../bench.ts";
import { database, startCip } from "../peers/cip.ts";
import type { Running } from "../peers/peer.ts";
import { percentile } from "../stats.ts";
import { filler } from "./filling.ts";

const asks = { full: 300, quick: 100, tiny: 2 };

/** Something a visitor does, once. */
export type Act = () => Promise<Response>;
export type Acts = Record<string, Act>;

export async function compare(
  { figures, size, repeats, say }: Bench,
  group: string,
  small: Acts,
  large: Acts,
) {
  for (let repeat = 0; repeat < repeats; repeat++)
    for (const [name, act] of Object.entries(small)) {
      say(`${repeat + 1}/${repeats} ${group}: ${name}`);
      const other = large[name] as Act;
      const times = { small: [] as number[], large: [] as number[] };
      await Promise.all([timed(act), timed(other)]); // compiled, and its pages read
      for (let i = 0; i < asks[size]; i++) {
        times.small.push(await timed(act));
        times.large.push(await timed(other));
      }
      const [before, after] = [percentile(times.small, 0.5), percentile(times.large, 0.5)];
      figures.add(group, name, { "p50 small ms": before, "p50 large ms": after, "×": after / before });
    }
}

/** Until all of it is there; of a stream, until its second frame is, which is the first with text. */
async function timed(act: Act): Promise<number> {
  const startedAt = performance.now();
  const response = await act();
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) {
    await response.arrayBuffer();
    return performance.now() - startedAt;
  }
  let firstMs = Number.NaN;
  for await (const bytes of response.body ?? [])
    if (Number.isNaN(firstMs) && Buffer.from(bytes).includes("-delta"))
      firstMs = performance.now() - startedAt;
  return firstMs;
}

export type Site = Awaited<ReturnType<typeof site>>;

/** A server on a database of its own. */
export async function site(modelPort: number, tenants: Record<string, string> = {}) {
  const { superuserUrl, createDatabase } = await database();
  const url = await createDatabase();
  const env = { DATABASE_URL: url, LIMIT_MESSAGES_PER_VISITOR: "1000000/1m" };
  const running = await startCip({ modelPort, pinned: true }, env, { tenants });
  const fill = filler(superuserUrl, url);
  return { running, fill, end: async () => Promise.all([running.stop(), fill.end()]) };
}

/** Calls of one visitor. */
export function caller({ port }: Running, tenant: string, token: string) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return (method: string, path: string, body?: object) =>
    fetch(`http://127.0.0.1:${port}/v1/${tenant}${path}`, {
      method,
      headers,
      ...(body && { body: JSON.stringify(body) }),
    });
}
