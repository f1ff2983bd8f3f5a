// Loaded before any test file (bunfig.toml): whatever way the run ends, nothing of it stays behind.
import { afterAll } from "bun:test";
import { cutDown, end } from "./support.ts";

afterAll(end, 30_000);
process.on("exit", cutDown);
for (const [signal, code] of [
  ["SIGHUP", 129],
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.on(signal, () => process.exit(code));
}
