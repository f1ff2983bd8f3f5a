// Rings when a file may have changed, where the operating system tells of it. It may ring in vain, and on mounts of the
// network it may stay silent: who hears it looks himself, and looks now and then without it.
import { type FSWatcher, watch } from "node:fs";
import { dirname, join } from "node:path";
import { identityOf } from "./stamp.ts";

/** Each costs the system memory, and all of a user's programs share what it allows. */
const foldersMax = 256;

type Hung = { watcher: FSWatcher; identity: string };

export class Bell {
  readonly #hung = new Map<string, Hung>();
  #paths: { has(path: string): boolean } = new Set();

  /** `ring` hears of one path, or of `undefined` where anything may have changed. */
  constructor(
    private readonly folder: string,
    private readonly ring: (path: string | undefined) => void,
  ) {}

  /** Listens for these files, and for any in the folder. A folder that was replaced is listened to anew. */
  async hang(paths: ReadonlyMap<string, unknown>): Promise<void> {
    this.#paths = paths;
    const wanted = new Set([this.folder]);
    for (const path of paths.keys()) if (wanted.size < foldersMax) wanted.add(dirname(path));
    for (const folder of [...this.#hung.keys()]) if (!wanted.has(folder)) this.#take(folder);
    for (const folder of wanted) {
      const identity = await identityOf(folder).catch(() => undefined);
      if (this.#hung.get(folder)?.identity === identity) continue;
      this.#take(folder);
      if (identity !== undefined) this.#hangAt(folder, identity);
    }
  }

  close(): void {
    for (const folder of [...this.#hung.keys()]) this.#take(folder);
  }

  #hangAt(folder: string, identity: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => this.#heard(folder, name));
      watcher.on("error", () => this.#take(folder));
      this.#hung.set(folder, { watcher, identity });
    } catch {
      // None left, or none there are for such a folder.
    }
  }

  #take(folder: string): void {
    this.#hung.get(folder)?.watcher.close();
    this.#hung.delete(folder);
  }

  #heard(folder: string, name: string | null): void {
    const path = join(folder, name ?? "");
    // Kubernetes changes all files of a folder at once, by a link named `..data`.
    if (name === null || name.startsWith("..")) this.ring(undefined);
    else if (folder === this.folder || this.#paths.has(path)) this.ring(path);
  }
}
