// Portkey's AI gateway, the npm package's own server: an OpenAI endpoint in front of another one.
import { join } from "node:path";
import { freePort } from "../../support.ts";
import { runtime } from "./express.ts";
import { folder, fromNpm } from "./install.ts";
import { launch, type Peer } from "./peer.ts";

export const portkey: Peer = {
  name: "Portkey gateway",
  missing: () => fromNpm("@portkey-ai/gateway"),
  async start(setting) {
    const port = await freePort();
    const program = join(folder, "node_modules/@portkey-ai/gateway/build/start-server.js");
    const command = [runtime, program, `--port=${port}`, "--headless"];
    const running = await launch({ command, port, env: { NODE_ENV: "production" } }, setting);
    const custom = `x-portkey-custom-host: http://127.0.0.1:${setting.modelPort}/v1`;
    return {
      ...running,
      requests: async (count) =>
        (await running.requests(count)).map((request) =>
          request.replace(
            "\r\n",
            `\r\nx-portkey-provider: openai\r\n${custom}\r\nauthorization: Bearer none\r\n`,
          ),
        ),
    };
  },
};
