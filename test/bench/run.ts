// `bun run bench [scenario …] [--quick] [--rows N]`: measures cip and its peers side by side and says what came out.
import { parseArgs } from "node:util";
import { cutDown, end } from "../support.ts";
import { type Bench, type Scenario, Void } from "./bench.ts";
import { Figures } from "./figures.ts";
import { all } from "./peers/all.ts";
import type { Peer } from "./peers/peer.ts";
import { Report } from "./report.ts";
import { first } from "./scenarios/first.ts";
import { growth } from "./scenarios/growth.ts";
import { memory } from "./scenarios/memory.ts";
import { paced } from "./scenarios/paced.ts";
import { rows } from "./scenarios/rows.ts";
import { saturated } from "./scenarios/saturated.ts";
import { start } from "./scenarios/start.ts";
import { turnsPerSecond } from "./scenarios/turns.ts";

export const scenarios: Record<string, Scenario> = {
  paced,
  saturated,
  first,
  turns: turnsPerSecond,
  start,
  memory,
  growth,
  rows,
};

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      rows: { type: "string" },
      only: { type: "string", multiple: true },
    },
    allowPositionals: true,
  });
  const names = positionals.length > 0 ? positionals : Object.keys(scenarios);
  const unknown = names.find((name) => !(name in scenarios));
  if (unknown !== undefined)
    throw new Error(`there is no scenario '${unknown}', but ${Object.keys(scenarios).join(", ")}`);
  const report = new Report(names);
  const figures = new Figures();
  const peers: Peer[] = [];
  for (const peer of all.filter(({ name }) => !values.only || values.only.includes(name))) {
    report.say(`looking for ${peer.name}`);
    const why = await peer.missing();
    if (why === undefined) peers.push(peer);
    else report.missing(peer.name, why);
  }
  const bench: Bench = {
    size: values.quick ? "quick" : "full",
    repeats: values.quick ? 1 : 3,
    rows: Number(values.rows ?? (values.quick ? 100_000 : 10_000_000)),
    figures,
    peers,
    say: report.say,
  };
  for (const name of names) {
    report.begin(scenarios[name]?.title ?? name);
    await scenarios[name]?.run(bench);
    report.show(figures.tables().filter(({ title }) => title.startsWith(`${name}:`)));
  }
  await report.write(figures.recorded());
}

if (import.meta.main) {
  process.on("exit", cutDown);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
  let status = 0;
  try {
    await main();
  } catch (error) {
    status = 1;
    const reason = error instanceof Void ? "This run does not count. " : "";
    console.error(`\n${reason}${error instanceof Error ? (error.stack ?? error.message) : error}`);
  }
  await end();
  process.exit(status);
}
