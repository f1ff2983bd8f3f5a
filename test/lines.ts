// The log of a server as a program reads it: every line one JSON object.
import type { Server } from "./server.ts";

export type Line = { level: string; time: string; msg: string; [field: string]: unknown };

export function linesOf(server: Pick<Server, "stderr">): Line[] {
  const whole = server.stderr().split("\n").slice(0, -1); // the last one may still be on its way
  return whole.map((line) => JSON.parse(line) as Line);
}
