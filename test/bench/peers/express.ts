// An Express relay over the SDK, under Node where there is one, else under Bun.
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../support.ts";
import { folder, fromNpm } from "./install.ts";
import { launch, type Peer } from "./peer.ts";

export const runtime = Bun.which("node") ?? process.execPath;

export const express: Peer = {
  name: "Express, SDK",
  missing: () => fromNpm("express"),
  async start(setting) {
    const port = await freePort();
    const program = join(folder, "express.server.mjs");
    copyFileSync(join(import.meta.dir, "express.server.mjs"), program);
    const env = { PORT: `${port}`, MODEL_PORT: `${setting.modelPort}`, NODE_ENV: "production" };
    return launch({ command: [runtime, program], port, env }, setting);
  },
};
