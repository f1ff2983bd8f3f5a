// One reader at a time: how much later the first token is there than when the model is asked directly.
import { byTurns, complete, type Scenario, underLoad } from "../bench.ts";

/** The second token comes so much later that the first one is alone on its way. */
const intervalMs = 5;
const answers = { full: 400, quick: 200, tiny: 5 };
const warmUp = { full: 200, quick: 200, tiny: 1 };

export const first: Scenario = {
  title: "Time to the first token, one at a time",
  async run(bench) {
    let direct = { p50: 0, p99: 0 };
    for await (const { peer, tell } of byTurns(bench)) {
      tell("first tokens");
      const { firstMs } = await underLoad(peer, { pinned: true }, async ({ running, run }) => {
        const ask = async (count: number) =>
          complete(
            peer,
            await run({ tokens: 2, intervalMs, connections: 1, requests: await running.requests(count) }),
          );
        await ask(warmUp[bench.size]);
        return ask(answers[bench.size]);
      });
      if (peer.name === "direct") direct = firstMs;
      bench.figures.add("first: time to the first token, one at a time", peer.name, {
        "p50 added ms": firstMs.p50 - direct.p50,
        "p99 added ms": firstMs.p99 - direct.p99,
        "p50 ms": firstMs.p50,
        "p99 ms": firstMs.p99,
      });
    }
  },
};
