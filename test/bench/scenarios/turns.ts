// Whole turns of 20 tokens, one after the other on 64 connections, with everything on all cores: what a machine can do.
import { byTurns, complete, type Scenario, underLoad } from "../bench.ts";
import { cip, cipEmbedded } from "../peers/cip.ts";

const tokens = 20;
const connections = 64;
const turns = { full: 4_000, quick: 2_000, tiny: 20 };

export const turnsPerSecond: Scenario = {
  title: "Turns per second, end to end",
  async run(bench) {
    for await (const { peer, tell } of byTurns({ ...bench, peers: [cip, cipEmbedded] })) {
      const count = turns[bench.size];
      tell(`${count} turns`);
      const outcome = await underLoad(peer, { pinned: false }, async ({ running, run }) => {
        const ask = async (answers: number) => {
          const requests = await running.requests(answers);
          return complete(peer, await run({ tokens, burst: tokens, connections, requests }));
        };
        await ask(Math.ceil(count / 4));
        return ask(count);
      });
      bench.figures.add("turns: 20 tokens each, 64 at once, everything on all cores", peer.name, {
        "turns/s": count / (outcome.totalMs / 1_000),
        "CPU µs/turn": outcome.systemCpuUs / count,
        "database µs/turn": outcome.databaseCpuUs / count,
        "load side µs/turn": outcome.loadCpuUs / count,
        "p50 first ms": outcome.firstMs.p50,
        "p99 first ms": outcome.firstMs.p99,
      });
    }
  },
};
