// Loaded before any test file (bunfig.toml): whatever way the run ends, nothing of it stays behind.
import { afterAll, setDefaultTimeout } from "bun:test";
import { cutDown, end } from "./support.ts";

// bunfig.toml cannot say it: its own default of 5 s is too short for starting a real program on a busy machine.
setDefaultTimeout(60_000);
afterAll(end, 30_000);
process.on("exit", cutDown);
for (const [signal, code] of [
  ["SIGHUP", 129],
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.on(signal, () => process.exit(code));
}
