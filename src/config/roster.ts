// The tenants in force: read at the start, and then those whose files have changed. Each is wholly what its files said
// at one time, and what cannot be taken leaves the last good one in place.
import { basename, dirname, join, resolve } from "node:path";
import { Board, Findings, type Found } from "./findings.ts";
import { same } from "./same.ts";
import { type Name, settings } from "./settings.ts";
import {
  type Ground,
  type Layers,
  type Notes,
  nothing,
  type Problem,
  readEnvFile,
  type Source,
} from "./sources.ts";
import { absent, type Stamp, stampOf } from "./stamp.ts";
import { entriesOf, idOf, layersOf, readTenant, type Shared, type Tenant, warnOfShared } from "./tenants.ts";
import { Wrong } from "./values.ts";

/** `tenant`: as far as there ever was a good one. `own` and `found`: of the newest reading. */
type Reading = { tenant: Tenant | undefined; own: Source; found: Found };

/** Ids of tenants; problems and warnings that were not there before; settings that only the next start takes. */
export type Change = {
  added: string[];
  changed: string[];
  removed: string[];
  problems: Problem[];
  warnings: string[];
  nextStart: Name[];
};

export class Roster {
  #all: ReadonlyMap<string, Tenant> = new Map();
  #readings = new Map<string, Reading>();
  /** Of files in the folder that can be no tenant's, by path. */
  #misfits = new Map<string, Found>();
  #ground: Ground;
  #groundFound: Found;
  /** Of every file that a reading depends on, from before it was read. */
  readonly #stamps = new Map<string, Stamp>();
  readonly #shared: Shared = { prompts: new Map(), logos: new Map(), models: new Map() };
  readonly #board = new Board();
  readonly #atStart: Ground;
  /** Settings of the instance whose change has been told and waits for the next start. */
  #awaited: Name[] = [];
  readonly folder: string;

  /** `readGround` is called again when a file has changed that it uses. */
  constructor(private readonly readGround: (notes: Notes) => Ground) {
    const findings = this.#findings();
    this.#ground = this.#atStart = readGround(findings);
    this.folder = resolve(this.#ground.cwd, this.#ground.values.TENANTS_DIR);
    const entries = entriesOf(this.folder, this.#ground, findings);
    this.#groundFound = findings.found;
    const files = entries.map(
      (entry) => [join(this.folder, entry), stampOf(join(this.folder, entry))] as const,
    );
    const reading = this.reread(new Map(files));
    while (!reading.next().done);
  }

  get(id: string): Tenant | undefined {
    return this.#all.get(id);
  }

  keys(): MapIterator<string> {
    return this.#all.keys();
  }

  values(): MapIterator<Tenant> {
    return this.#all.values();
  }

  [Symbol.iterator](): MapIterator<[string, Tenant]> {
    return this.#all[Symbol.iterator]();
  }

  get size(): number {
    return this.#all.size;
  }

  get problems(): Problem[] {
    return this.#board.problems;
  }

  /** What is better mended though it works, one line each. */
  get warnings(): readonly string[] {
    return this.#board.warnings;
  }

  get stamps(): ReadonlyMap<string, Stamp> {
    return this.#stamps;
  }

  get ground(): Ground {
    return this.#ground;
  }

  /** Where the settings of a tenant come from. */
  layers(id: string): Layers | undefined {
    const reading = this.#readings.get(id);
    return reading && layersOf(reading.own, { ...this.#ground, ...new Findings() });
  }

  /**
   * Takes what depends on these files, given with the stamps they were seen with. It may be left alone between two
   * steps: until the last one all tenants stay as they are.
   */
  *reread(changed: ReadonlyMap<string, Stamp>): Generator<void, Change> {
    for (const [path, stamp] of changed) {
      this.#stamps.set(path, stamp);
      this.#shared.prompts.delete(path);
      this.#shared.logos.delete(path);
    }
    const others = this.#groundFound.paths.some((path) => changed.has(path)) && this.#reground();
    const next = new Map(this.#readings);
    const due = this.#sortOut(changed, next);
    for (const [id, { own, found }] of next) {
      if (others || found.paths.some((path) => changed.has(path))) due.set(id, own.file);
      yield;
    }
    for (const [id, file] of due) {
      const reading = this.#read(id, file);
      if (reading) next.set(id, reading);
      yield;
    }
    return yield* this.#take(next);
  }

  /** Returns whether there is another ground; one with a mistake is not taken. */
  #reground(): boolean {
    const findings = this.#findings();
    const ground = this.readGround(findings);
    if (this.#isMoving(findings.found)) return false;
    this.#groundFound = findings.found;
    if (findings.problems.length > 0) return false;
    this.#ground = ground;
    return true;
  }

  /** Drops from `next` whose file is gone, and gives those whose file has changed or is new. */
  #sortOut(changed: ReadonlyMap<string, Stamp>, next: Map<string, Reading>): Map<string, string> {
    const due = new Map<string, string>();
    for (const [path, stamp] of changed) {
      if (dirname(path) !== this.folder) continue;
      const id = idOf(basename(path));
      const file = join(this.#atStart.values.TENANTS_DIR, basename(path));
      this.#misfits.delete(path);
      if (id === undefined) continue;
      if (id instanceof Wrong) {
        const problems = [{ file, name: "", remedy: id.remedy }];
        if (stamp !== absent) this.#misfits.set(path, { problems, warnings: [], exposed: [], paths: [path] });
      } else if (stamp !== absent) due.set(id, file);
      else if (next.get(id)?.own.file) next.delete(id);
    }
    const files = due.size + [...next.values()].filter(({ own }) => own.file !== "").length;
    // A file that was given a wrong name is mended soon, and meant no site for everybody meanwhile.
    if (files === 0 && this.#misfits.size === 0) due.set("default", "");
    return due;
  }

  #read(id: string, file: string): Reading | undefined {
    const findings = this.#findings();
    const base = { ...this.#ground, ...findings };
    const own = file === "" ? nothing : readEnvFile(base.cwd, file, "tenant", base);
    const fresh = readTenant(id, own, base, this.#shared);
    const { found } = findings;
    const before = this.#readings.get(id);
    if (this.#isMoving(found)) return before;
    const isRefused = found.problems.length > 0;
    const isKept = isRefused || same(before?.tenant, fresh);
    return { tenant: isKept ? before?.tenant : fresh, own, found };
  }

  /** A file was written while it was read; the next look finds it so. The start takes what there is. */
  #isMoving({ paths }: Found): boolean {
    return this.#all.size > 0 && paths.some((path) => stampOf(path) !== this.#stamps.get(path));
  }

  *#take(next: Map<string, Reading>): Generator<void, Change> {
    const hasTenant = [...next.values()].some(({ tenant, own }) => tenant && own.file);
    // Where there are files, there is no `default` without one, once any of them can be taken.
    if (hasTenant && next.get("default")?.own.file === "") next.delete("default");
    const before = this.#all;
    const all = new Map<string, Tenant>();
    const change: Pick<Change, "added" | "changed" | "removed"> = { added: [], changed: [], removed: [] };
    for (const id of this.#inOrder(next)) {
      const tenant = next.get(id)?.tenant;
      if (tenant) all.set(id, tenant);
      if (tenant && before.get(id) !== tenant) change[before.has(id) ? "changed" : "added"].push(id);
      yield;
    }
    for (const id of before.keys()) if (!all.has(id)) change.removed.push(id);
    const shared = new Findings();
    yield* warnOfShared(all.values(), shared);
    const used = new Set([...this.#groundFound.paths, ...this.#misfits.keys()]);
    const noted = [this.#groundFound, ...this.#misfits.values(), shared.found];
    for (const { found } of next.values()) {
      for (const path of found.paths) used.add(path);
      if (found.problems.length + found.warnings.length + found.exposed.length > 0) noted.push(found);
      yield;
    }
    yield* this.#forget(used, all);
    this.#readings = next;
    this.#all = all;
    return { ...change, ...this.#board.news(noted), nextStart: this.#nextStart() };
  }

  /** By their names, as at the start; sorting ten thousand takes longer than all the rest, and is seldom needed. */
  #inOrder(next: ReadonlyMap<string, Reading>): Iterable<string> {
    const isSorted = next.size === this.#all.size && [...next.keys()].every((id) => this.#all.has(id));
    return isSorted ? this.#all.keys() : [...next.keys()].sort();
  }

  #nextStart(): Name[] {
    const names = differing(this.#atStart, this.#ground);
    const fresh = names.filter((name) => !this.#awaited.includes(name));
    this.#awaited = names;
    return fresh;
  }

  /** What nobody uses any more. */
  *#forget(used: ReadonlySet<string>, all: ReadonlyMap<string, Tenant>): Generator<void, void> {
    const { prompts, logos, models } = this.#shared;
    for (const kept of [this.#stamps, prompts, logos])
      for (const path of kept.keys()) {
        if (!used.has(path)) kept.delete(path);
        yield;
      }
    const asked = new Set([...all.values()].map(({ model }) => model));
    for (const [words, model] of models) if (!asked.has(model)) models.delete(words);
  }

  #findings(): Findings {
    return new Findings((path) => void this.#stamps.getOrInsertComputed(path, stampOf));
  }
}

/** The settings of the instance that are others now. */
function differing({ values: before }: Ground, { values: now }: Ground): Name[] {
  const names = (Object.keys(settings) as Name[]).filter((name) => settings[name].scope === "instance");
  return names.filter((name) => !same(before[name], now[name]));
}
