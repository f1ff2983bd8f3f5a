// What the person at the terminal sees, and the file that keeps it: progress on one line, tables, and JSON.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../support.ts";
import type { Recorded, Table } from "./figures.ts";
import { machine } from "./machine.ts";
import { versions as packages } from "./peers/install.ts";

export class Report {
  readonly #startedAt = new Date();
  readonly #missing: Record<string, string> = {};
  readonly #machine = machine();

  constructor(readonly names: readonly string[]) {
    const { processor, cores, memoryGb, kernel, apart, goesFirst } = this.#machine;
    console.log(`${processor}, ${cores} cores, ${memoryGb} GB, Linux ${kernel}`);
    if (!apart)
      console.log("There is one core only: the system under test shares it with model and readers.");
    else if (!goesFirst)
      console.log("The load side cannot go first on its core: beside PostgreSQL the model may be late.");
  }

  /** Progress: one line that is written over where there is a terminal. */
  readonly say = (doing: string): void => {
    const minutes = ((Date.now() - this.#startedAt.getTime()) / 60_000).toFixed(1);
    const line = `${minutes} min  ${doing}`;
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${line}`);
    else console.log(line);
  };

  missing(name: string, why: string): void {
    this.#missing[name] = why;
    console.log(`missing: ${name} (${why})`);
  }

  begin(title: string): void {
    if (process.stdout.isTTY) process.stdout.write("\r\x1b[K");
    console.log(`\n── ${title}`);
  }

  show(tables: Table[]): void {
    if (process.stdout.isTTY) process.stdout.write("\r\x1b[K");
    for (const table of tables) console.log(`\n${markdown(table)}`);
  }

  async write(figures: Recorded[]): Promise<void> {
    const folder = join(repository, "dist/bench");
    mkdirSync(folder, { recursive: true });
    const path = join(folder, `${this.#startedAt.toISOString().replace(/[:.]/g, "-")}.json`);
    const facts = { date: this.#startedAt.toISOString(), machine: this.#machine, versions: versions() };
    await Bun.write(path, JSON.stringify({ ...facts, missing: this.#missing, figures }, null, 2));
    for (const [name, why] of Object.entries(this.#missing)) console.log(`missing: ${name} (${why})`);
    console.log(`\nMedians, with the lowest and the highest of all repeats. Written to ${path}`);
  }
}

function versions() {
  const first = (...command: string[]) => {
    if (!Bun.which(command[0] ?? "")) return undefined;
    const { stdout, stderr } = Bun.spawnSync(command, { cwd: repository });
    return (stdout.toString() || stderr.toString()).trim().split("\n")[0];
  };
  return {
    commit: first("git", "rev-parse", "HEAD"),
    changed: first("git", "status", "--short") !== "",
    bun: Bun.version,
    node: first("node", "--version"),
    nginx: first("nginx", "-v"),
    python: first("/usr/bin/python3", "--version"),
    ...packages,
  };
}

/** A table that is as readable in a terminal as in a page. */
function markdown({ title, columns, rows }: Table): string {
  const widths = columns.map((column, i) =>
    Math.max(column.length, ...rows.map((row) => row[i]?.length ?? 0)),
  );
  const line = (cells: string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, i) => "-".repeat(width - (i > 0 ? 1 : 0)) + (i > 0 ? ":" : ""));
  return [`${title}`, "", line(columns), line(rule), ...rows.map(line)].join("\n");
}
