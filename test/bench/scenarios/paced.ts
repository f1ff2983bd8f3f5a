// Readers at the pace of a real model, more and more of them, until the system no longer keeps up.
import { type Bench, byTurns, type Scenario, underLoad } from "../bench.ts";
import type { Outcome } from "../load/outcome.ts";

const intervalMs = 20;
/** As many are measured even where the system does not hold them: what a token costs is compared there. */
const alwaysReaders = 500;
const beyond = 500;
const settleMs = 1_000;

/** `rampMs`: in which all readers come, one after the other, as they do where an answer takes that long. */
const sizes = {
  full: { steps: [100, 500, 1_000, 1_500, 2_000], readersMax: 6_000, rampMs: 8_000, windowMs: 5_000 },
  quick: { steps: [100, 500, 1_000, 1_500], readersMax: 1_500, rampMs: 8_000, windowMs: 3_000 },
  tiny: { steps: [5], readersMax: 5, rampMs: 20, windowMs: 200 },
};

export const paced: Scenario = {
  title: "Readers at 50 tokens/s each",
  async run(bench) {
    for await (const { peer, tell } of byTurns(bench)) {
      const held = await underLoad(peer, { pinned: true }, async ({ running, run }) => {
        let most = 0;
        for (const readers of steps(bench)) {
          tell(`${readers} readers`);
          const outcome = await run({ ...shape(bench, readers), requests: await running.requests(readers) });
          const group = `paced: ${readers} readers at 50 tokens/s, system on one core`;
          bench.figures.add(group, peer.name, figures(outcome, running.pids.length === 0));
          if (holds(outcome)) most = readers;
          else if (readers >= alwaysReaders) break;
        }
        return most;
      });
      bench.figures.add("paced: readers held on one core", peer.name, { readers: held });
    }
  },
};

function* steps({ size }: Bench): Generator<number> {
  const { steps, readersMax } = sizes[size];
  yield* steps;
  for (let readers = (steps.at(-1) ?? 0) + beyond; readers <= readersMax; readers += beyond) yield readers;
}

function shape({ size }: Bench, readers: number) {
  const { rampMs, windowMs } = sizes[size];
  const windowFromMs = rampMs + settleMs;
  const tokens = Math.ceil((windowFromMs + windowMs) / intervalMs) + 1;
  const deadlineMs = 2 * rampMs + settleMs + windowMs + 10_000;
  return { tokens, intervalMs, connections: readers, rampMs, windowFromMs, windowMs, deadlineMs };
}

function holds({ ended, answers, brokenCount, gapMs, firstMs }: Outcome): boolean {
  return ended === answers && brokenCount === 0 && gapMs.p99 <= 50 && firstMs.p99 <= 100;
}

function figures(outcome: Outcome, direct: boolean): Record<string, number> {
  const { tokens, firstMs, gapMs, delayMs, delayed, systemRssKb, answers } = outcome;
  const cpuUs = direct ? outcome.loadCpuUs : outcome.systemCpuUs;
  return {
    "CPU µs/token": cpuUs / tokens,
    "database µs/token": outcome.databaseCpuUs / tokens,
    "load side µs/token": outcome.loadCpuUs / tokens,
    "tokens/s": tokens / (outcome.windowMs / 1_000),
    "p99 gap ms": gapMs.p99,
    "p99 first ms": firstMs.p99,
    "p50 delay ms": delayMs.p50,
    "p99 delay ms": delayMs.p99,
    "delayed > 40 ms, %": delayed * 100,
    "MB resident": systemRssKb / 1_024,
    "model late ms": outcome.modelLateMs,
    "not ended": answers - outcome.ended + outcome.brokenCount,
  };
}
