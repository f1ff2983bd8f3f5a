// Starts cip, where Bun's `fetch` makes the model calls with room for them: it makes some 500 at once, queues the rest
// without a word, and reads the setting that raises this only when a process begins (measured on 1.4.5; setting it later
// changes nothing). Elsewhere the calls have connections of their own (model/wire.ts), without a bound.
import { setsEgress } from "./config/egress.ts";

const limit = "BUN_CONFIG_MAX_HTTP_REQUESTS";

if (setsEgress(process.env) && process.env[limit] === undefined && process.platform !== "win32") {
  const compiled = import.meta.path.startsWith("/$bunfs/");
  const args = compiled ? process.argv.slice(2) : [...process.execArgv, ...process.argv.slice(1)];
  // The same process, begun again within a few ms: process id, terminal and signals stay as they are.
  try {
    process.execve?.(process.execPath, [process.execPath, ...args], { ...process.env, [limit]: "65535" });
  } catch {
    // Where it may not, or its file was replaced meanwhile, it goes on as it is, with room for fewer requests.
  }
}

await import("./main.ts");
