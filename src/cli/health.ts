// `cip health`: for a container without a shell or curl, the binary asks the server on the same machine.
import { get } from "node:http";
import { loadInstance } from "../config/config.ts";
import { Refusal } from "./command.ts";

export async function run(): Promise<number> {
  const { host, port } = loadInstance(process.cwd());
  const hostname = ["0.0.0.0", "::"].includes(host) ? "127.0.0.1" : host;
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  // Unlike fetch, `get` goes past any proxy.
  get({ hostname, port, path: "/readyz", agent: false, signal: AbortSignal.timeout(5_000) }, (answer) => {
    answer.resume();
    resolve(answer.statusCode);
  }).on("error", () => resolve(undefined));
  const status = await promise;
  if (status === undefined) throw new Refusal(`nothing answers on port ${port}`);
  if (status !== 200) throw new Refusal(`not ready (${status})`);
  return 0;
}
