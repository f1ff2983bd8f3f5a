// What every scenario works with: how long and how often to measure, the systems, and a system under load.
import { freePort } from "../support.ts";
import type { Figures } from "./figures.ts";
import { LoadSide } from "./load/load.ts";
import type { Outcome } from "./load/outcome.ts";
import type { Plan } from "./load/run.ts";
import type { Peer, Running } from "./peers/peer.ts";

/** `tiny` is for the test suite: everything once, and nothing that is worth reading as a number. */
export type Size = "full" | "quick" | "tiny";

export type Bench = {
  size: Size;
  repeats: number;
  /** Turns that `rows` stores. */
  rows: number;
  figures: Figures;
  /** Those that can be measured here. */
  peers: Peer[];
  /** One line of progress. */
  say(doing: string): void;
};

export type Scenario = { title: string; run(bench: Bench): Promise<void> };

export class Void extends Error {}

export type UnderLoad = { running: Running; run(plan: Shape): Promise<Outcome> };

/** What of a plan is the scenario's to say; the rest follows. */
export type Shape = Partial<Plan> & Pick<Plan, "tokens" | "requests" | "connections">;

/** A frame of any of the systems takes less, and so does the head. */
const bytesPerToken = 400;
const headBytes = 8_192;

/** Starts the system with a model and readers of its own, and ends all of it when `work` is done. */
export async function underLoad<T>(
  peer: Peer,
  { pinned }: { pinned: boolean },
  work: (system: UnderLoad) => Promise<T>,
): Promise<T> {
  const modelPort = await freePort();
  const load = new LoadSide(modelPort);
  try {
    const running = await peer.start({ modelPort, pinned });
    const run = async (shape: Shape) => {
      const outcome = await load.run(planOf(shape, running));
      if (outcome.wrong.length > 0) throw new Void(`${peer.name}: ${outcome.wrong.join("\n")}`);
      return outcome;
    };
    return await work({ running, run }).finally(running.stop);
  } finally {
    await load.stop();
  }
}

function planOf(shape: Shape, { port, pids, databasePids }: Running): Plan {
  return {
    port,
    systemPids: pids,
    databasePids,
    intervalMs: 0,
    burst: 1,
    rampMs: 0,
    windowFromMs: 0,
    windowMs: undefined,
    deadlineMs: 60_000,
    bytesMax: headBytes + shape.tokens * bytesPerToken,
    readsMax: 2 * shape.tokens + 16,
    ...shape,
  };
}

/** Each system once a repeat, by turns, so that what changes on the machine meanwhile meets all of them. */
export async function* byTurns({ repeats, peers, say }: Bench, without: readonly string[] = []) {
  for (let repeat = 1; repeat <= repeats; repeat++)
    for (const peer of peers) {
      if (without.includes(peer.name)) continue;
      const tell = (doing: string) => say(`${repeat}/${repeats} ${peer.name}: ${doing}`);
      yield { peer, tell };
    }
}

/** Throws where answers are missing, in scenarios in which every system must give them all. */
export function complete(peer: Peer, outcome: Outcome): Outcome {
  if (outcome.brokenCount > 0)
    throw new Void(`${peer.name}, ${outcome.brokenCount} answers broken: ${outcome.broken.join("\n")}`);
  if (outcome.ended < outcome.answers)
    throw new Void(
      `${peer.name}: ${outcome.answers - outcome.ended} of ${outcome.answers} answers did not end`,
    );
  return outcome;
}
