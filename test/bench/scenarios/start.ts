// From the begin of the process to its first answer, and what it holds in memory once it has nothing to do.
import { temporaryFolder } from "../../support.ts";
import { type Bench, byTurns, type Scenario, underLoad } from "../bench.ts";
import { database, startCip } from "../peers/cip.ts";
import type { Peer, Setting } from "../peers/peer.ts";

const group = "start: process to first answer, system on one core";
/** In it a process has done what it does after its start. */
const settleMs = { full: 2_000, quick: 2_000, tiny: 10 };

export const start: Scenario = {
  title: "Start to first answer",
  async run(bench) {
    const peers = bench.peers.filter(({ name }) => !["direct", "cip"].includes(name));
    const own = bench.peers.some(({ name }) => name === "cip") ? await cips() : [];
    for await (const { peer, tell } of byTurns({ ...bench, peers: [...peers, ...own] })) {
      tell("starts");
      await measured(bench, peer);
    }
  },
};

async function measured({ figures, size }: Bench, peer: Peer): Promise<void> {
  await underLoad(peer, { pinned: true }, async ({ running }) => {
    await Bun.sleep(settleMs[size]);
    figures.add(group, peer.name, {
      "first answer ms": running.startMs,
      "MB resident idle": running.rssKb() / 1_024,
    });
  });
}

/** cip in its three ways to start; on PostgreSQL the schema is there, as it is at every start but the first. */
async function cips(): Promise<Peer[]> {
  const url = await (await database()).createDatabase();
  const there = async () => undefined;
  let cwd = temporaryFolder();
  const first = await startCip({ modelPort: 1, pinned: true }, { DATABASE_URL: url });
  await first.stop();
  return [
    { name: "cip", missing: there, start: (setting) => startCip(setting, { DATABASE_URL: url }) },
    {
      name: "cip, embedded, first start",
      missing: there,
      start(setting: Setting) {
        cwd = temporaryFolder();
        return startCip(setting, {}, { cwd });
      },
    },
    { name: "cip, embedded, later", missing: there, start: (setting) => startCip(setting, {}, { cwd }) },
  ];
}
