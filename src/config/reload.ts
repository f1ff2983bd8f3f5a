// Takes changed settings of the tenants while cip runs: soon after a file has changed, once it is still, and at a word
// of the operator's. What it says of a mistake it says once.
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { log } from "../log.ts";
import { Bell } from "./bell.ts";
import { inWords } from "./findings.ts";
import { Looker, type Seen } from "./look.ts";
import type { Change, Roster } from "./roster.ts";
import type { Stamp } from "./stamp.ts";

/** A file that looks alike after so long is taken: nobody is in the middle of writing it. */
const stillMs = 300;
/** Between two looks at everything, for where nothing rings; and longer where that is much to look at. */
const pollMs = 1_000;
const pollMsPerFile = 3;
/** How long others may have to wait while many files are read. */
const sliceMs = 5;
const namesShownMax = 10;
const problemsShownMax = 100;

type Unsettled = { stamp: Stamp; since: number };

export class Reload {
  readonly #looker: Looker;
  readonly #bell: Bell;
  /** Differ from what is in force, as of the last look, and since when they look as they do. */
  #unsettled: ReadonlyMap<string, Unsettled> = new Map();
  #rung = new Set<string>();
  #lookAtAll = true;
  #urgent = false;
  #wake = Promise.withResolvers<void>();
  #trouble: string | undefined;

  constructor(private readonly roster: Roster) {
    this.#looker = new Looker(roster);
    this.#bell = new Bell(roster.folder, (path) => {
      if (path === undefined) this.#lookAtAll = true;
      else this.#rung.add(path);
      this.#wake.resolve();
    });
  }

  /** Looks at everything at once, and takes it as it is. */
  now(): void {
    this.#lookAtAll = true;
    this.#urgent = true;
    this.#wake.resolve();
  }

  /** Returns when `end` is aborted. */
  async run(end: AbortSignal): Promise<void> {
    end.addEventListener("abort", () => this.#wake.resolve());
    let pollAt = 0;
    while (!end.aborted) {
      try {
        if (performance.now() >= pollAt) this.#lookAtAll = true;
        if (this.#lookAtAll) await this.#bell.hang(this.roster.stamps);
        const whole = this.#lookAtAll;
        await this.#round();
        if (whole) pollAt = performance.now() + Math.max(pollMs, this.roster.stamps.size * pollMsPerFile);
      } catch (error) {
        log.error({ err: error }, "changed settings could not be looked for");
        pollAt = performance.now() + pollMs;
      }
      const waitMs = this.#unsettled.size > 0 ? stillMs : pollAt - performance.now();
      await Promise.race([this.#wake.promise, sleep(Math.max(0, waitMs), undefined, { ref: false })]);
    }
    this.#bell.close();
  }

  async #round(): Promise<void> {
    this.#wake = Promise.withResolvers();
    const paths = this.#lookAtAll ? undefined : new Set([...this.#rung, ...this.#unsettled.keys()]);
    const urgent = this.#urgent;
    this.#rung = new Set();
    this.#lookAtAll = this.#urgent = false;
    const seen = await this.#looker.look(paths);
    this.#tell(seen);
    const now = performance.now();
    const still = new Map<string, Stamp>();
    const unsettled = new Map<string, Unsettled>();
    for (const [path, stamp] of seen.differing) {
      const before = this.#unsettled.get(path);
      const since = before?.stamp === stamp ? before.since : now;
      if (urgent || now - since >= stillMs) still.set(path, stamp);
      else unsettled.set(path, { stamp, since });
    }
    this.#unsettled = unsettled;
    if (still.size > 0) report(await inSlices(this.roster.reread(still)));
    else if (urgent) log.info("the settings are as they were");
  }

  #tell({ trouble }: Seen): void {
    if (trouble && trouble !== this.#trouble)
      log.error({ folder: this.roster.folder }, `the tenants' folder ${trouble}: its sites stay as they are`);
    if (!trouble && this.#trouble)
      log.info({ folder: this.roster.folder }, "the tenants' folder is there again");
    this.#trouble = trouble;
  }
}

async function inSlices(steps: Generator<void, Change>): Promise<Change> {
  for (let began = performance.now(); ; ) {
    const step = steps.next();
    if (step.done) return step.value;
    if (performance.now() - began < sliceMs) continue;
    await setImmediate();
    began = performance.now();
  }
}

function report({ added, changed, removed, problems, warnings, nextStart }: Change): void {
  for (const problem of problems.slice(0, problemsShownMax))
    log.error({ file: problem.file, setting: problem.name || undefined }, `not taken: ${inWords(problem)}`);
  const more = problems.length - problemsShownMax;
  if (more > 0) log.error(`not taken: ${more} more mistakes; cip check shows all`);
  for (const warning of warnings) log.warn(warning);
  if (nextStart.length > 0)
    log.warn({ settings: nextStart }, "changed settings that take effect at the next start");
  if (added.length + changed.length + removed.length === 0) return;
  const shown = { added: listed(added), changed: listed(changed), removed: listed(removed) };
  log.info(shown, "sites have changed");
}

function listed(ids: string[]): string[] | undefined {
  if (ids.length === 0) return undefined;
  const more = ids.length - namesShownMax;
  return more > 0 ? [...ids.slice(0, namesShownMax), `and ${more} more`] : ids;
}
