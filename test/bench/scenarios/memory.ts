// What an open stream costs in resident memory, and whether it is given back when all have gone.
import { byTurns, type Scenario, underLoad } from "../bench.ts";

const sizes = {
  full: { streams: [1_000], intervalMs: 200, windowMs: 2_000, returnMs: 10_000 },
  quick: { streams: [500], intervalMs: 200, windowMs: 2_000, returnMs: 5_000 },
  tiny: { streams: [5], intervalMs: 20, windowMs: 50, returnMs: 100 },
};
const arrivalsPerSecond = 125;
/** Within 10 % of what it held before, it counts as given back. */
const back = 1.1;

export const memory: Scenario = {
  title: "Memory of open streams",
  async run(bench) {
    const { streams, intervalMs, windowMs, returnMs } = sizes[bench.size];
    for await (const { peer, tell } of byTurns(bench, ["direct"])) {
      await underLoad(peer, { pinned: true }, async ({ running, run }) => {
        const open = async (count: number) => {
          const rampMs = (count / arrivalsPerSecond) * 1_000;
          const tokens = Math.ceil((rampMs + windowMs) / intervalMs) + 5;
          const requests = await running.requests(count);
          const windowFromMs = rampMs;
          return run({ tokens, intervalMs, connections: count, rampMs, windowFromMs, windowMs, requests });
        };
        await open(Math.min(50, ...streams)); // what is compiled and pooled by the first answers is no stream's
        await Bun.sleep(windowMs);
        const idleKb = running.rssKb();
        for (const count of streams) {
          tell(`${count} open streams`);
          const { systemRssKb, answers, ended, brokenCount } = await open(count);
          const { afterKb, afterMs } = await settled(running.rssKb, idleKb * back, returnMs);
          bench.figures.add(`memory: ${count} open streams`, peer.name, {
            "KB/stream": (systemRssKb - idleKb) / count,
            "MB idle": idleKb / 1_024,
            "MB open": systemRssKb / 1_024,
            "MB after": afterKb / 1_024,
            "after, % of idle": (afterKb / idleKb) * 100,
            "s until then": afterMs / 1_000,
            "not ended": answers - ended + brokenCount, // streams that were counted and were not there
          });
        }
      });
    }
  },
};

/** The memory once it is as low as `enoughKb`, or after `timeoutMs` whatever it is. */
async function settled(rssKb: () => number, enoughKb: number, timeoutMs: number) {
  const startedAt = performance.now();
  for (;;) {
    const afterMs = performance.now() - startedAt;
    const afterKb = rssKb();
    if (afterKb <= enoughKb || afterMs > timeoutMs) return { afterKb, afterMs };
    await Bun.sleep(100);
  }
}
