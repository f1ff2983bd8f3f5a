// Fifty answers of 500 tokens as fast as they can be passed on.
import { byTurns, complete, type Scenario, underLoad } from "../bench.ts";

const sizes = {
  full: { readers: 50, tokens: 500, rounds: 4 },
  quick: { readers: 50, tokens: 500, rounds: 4 },
  tiny: { readers: 5, tokens: 100, rounds: 1 },
};

export const saturated: Scenario = {
  title: "50 answers of 500 tokens at once, as fast as they go",
  async run(bench) {
    const { readers, tokens, rounds } = sizes[bench.size];
    for await (const { peer, tell } of byTurns(bench)) {
      tell("saturated");
      const outcome = await underLoad(peer, { pinned: true }, async ({ running, run }) => {
        const ask = async (answers: number) => {
          const requests = await running.requests(answers);
          return complete(peer, await run({ tokens, connections: readers, requests }));
        };
        await ask(readers); // the first round has everything compiled
        return ask(readers * rounds);
      });
      const direct = peer.name === "direct";
      bench.figures.add("saturated: 50 answers of 500 tokens at once, system on one core", peer.name, {
        "CPU µs/token": (direct ? outcome.loadCpuUs : outcome.systemCpuUs) / outcome.tokens,
        "tokens/s": outcome.tokens / (outcome.totalMs / 1_000),
      });
    }
  },
};
