// No system at all: the readers ask the model itself. What this costs is what the load side costs.
import type { Peer } from "./peer.ts";
import { completions } from "./peer.ts";

export const direct: Peer = {
  name: "direct",
  missing: async () => undefined,
  start: async ({ modelPort }) => ({
    port: modelPort,
    pids: [],
    databasePids: [],
    startMs: 0,
    requests: completions,
    rssKb: () => 0,
    stop: async () => {},
  }),
};
