// Looks which of the tenants' files are others than those in force, without reading any and without blocking.
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Roster } from "./roster.ts";
import { absent, identityOf, lookAt, type Stamp } from "./stamp.ts";
import { idOf } from "./tenants.ts";

/** At once, so that neither the loop nor the threads that ask the operating system are busy with nothing else. */
const batch = 64;

/** `trouble`: why nothing can be said of the folder itself, in which case its files count as they are. */
export type Seen = { differing: Map<string, Stamp>; trouble: string | undefined };

export class Looker {
  /** Of the folder that the tenants in force come from. */
  #identity: string | undefined;

  constructor(private readonly roster: Roster) {}

  /** At these paths only, or at everything there is. */
  async look(paths?: Iterable<string>): Promise<Seen> {
    const { folder, stamps } = this.roster;
    const { names, trouble } = await this.#folder();
    const looked = paths
      ? new Set(paths)
      : new Set([...stamps.keys(), ...names.map((name) => join(folder, name))]);
    const due = [...looked].filter(
      (path) => dirname(path) !== folder || (!trouble && idOf(basename(path)) !== undefined),
    );
    const differing = new Map<string, Stamp>();
    for (let from = 0; from < due.length; from += batch) {
      const part = due.slice(from, from + batch);
      const seen = await Promise.all(part.map(lookAt));
      for (const [i, path] of part.entries()) {
        const stamp = seen[i] ?? absent;
        if (stamp !== (stamps.get(path) ?? absent)) differing.set(path, stamp);
      }
    }
    return { differing, trouble };
  }

  /** A volume that is not mounted is no folder, or an empty one in its place; it must not take all sites away. */
  async #folder(): Promise<{ names: string[]; trouble: string | undefined }> {
    const { folder, stamps } = this.roster;
    const held = () => [...stamps].some(([path, stamp]) => dirname(path) === folder && stamp !== absent);
    try {
      const identity = await identityOf(folder);
      const names = (await readdir(folder)).filter((name) => idOf(name) !== undefined);
      const moved = this.#identity !== undefined && identity !== this.#identity;
      if (moved && names.length === 0 && held())
        return { names, trouble: "is another one than before, and empty" };
      this.#identity = identity;
      return { names, trouble: undefined };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return { names: [], trouble: code === "ENOENT" && !held() ? undefined : `cannot be read (${code})` };
    }
  }
}
