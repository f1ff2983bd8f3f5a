// The benchmark's own test: every scenario once, tiny, with the systems that need nothing from outside. No time is
// asserted here; that the answers are those that the model gave is, by each scenario itself.
import { expect, test } from "bun:test";
import { type Bench, complete, underLoad } from "./bench.ts";
import { Figures } from "./figures.ts";
import { expected } from "./load/script.ts";
import { own } from "./peers/all.ts";
import { completions, type Peer } from "./peers/peer.ts";
import { scenarios } from "./run.ts";
import { percentile, spread } from "./stats.ts";

const tiny = (figures: Figures): Bench => ({
  size: "tiny",
  repeats: 1,
  rows: 1_000,
  figures,
  peers: own,
  say: () => {},
});

for (const [name, { run }] of Object.entries(scenarios))
  test(`the scenario ${name} runs, and every answer is what the model said`, async () => {
    const figures = new Figures();
    await run(tiny(figures));
    const groups = figures.tables().map(({ title }) => title.split(":")[0]);
    expect(new Set(groups)).toEqual(new Set([name]));
    expect(figures.recorded().some(({ values }) => values.some(Number.isFinite))).toBe(true);
  });

test("one wrong character in one answer voids the run, and so does an answer that is cut off", async () => {
  const relay = (change: (text: string) => string): Peer => ({
    name: "a relay with a fault",
    missing: async () => undefined,
    async start({ modelPort }) {
      const server = Bun.serve({
        port: 0,
        hostname: "127.0.0.1",
        async fetch(request) {
          const address = `http://127.0.0.1:${modelPort}/v1/chat/completions`;
          const answer = await fetch(address, { method: "POST", body: await request.text() });
          return new Response(change(await answer.text()));
        },
      });
      return {
        port: server.port ?? 0,
        pids: [],
        databasePids: [],
        startMs: 0,
        requests: completions,
        rssKb: () => 0,
        stop: () => server.stop(true),
      };
    },
  });
  const ask = (peer: Peer) =>
    underLoad(peer, { pinned: false }, async ({ running, run }) =>
      complete(peer, await run({ tokens: 9, connections: 2, requests: await running.requests(4) })),
    );
  await ask(relay((text) => text));
  const word = expected(3, 9)[6] as string;
  const changed = word.replace(/\d$/, (digit) => `${(Number(digit) + 1) % 10}`);
  await expect(ask(relay((text) => text.replace(word, changed)))).rejects.toThrow("differs at character");
  await expect(ask(relay((text) => text.slice(0, 900)))).rejects.toThrow("answers broken");
});

test("percentiles are by nearest rank, and repeats are told by median, lowest and highest", () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect([0.01, 0.5, 0.99, 1].map((share) => percentile(values, share))).toEqual([1, 50, 99, 100]);
  expect(spread([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5 });
  expect(spread([4, 1])).toEqual({ median: 2.5, min: 1, max: 4 });
});
