// How much of its time this thread works: its own CPU time alone, for others compile, collect or compress, and hold up
// nobody here.

export class WorkShare {
  /** The last look, as `performance.now()` counts. */
  lookedMs = performance.now();
  #worked = process.threadCpuUsage();

  /** Of the time since the last look, 0 to 1. */
  look(nowMs: number): number {
    const { user, system } = process.threadCpuUsage(this.#worked);
    const share = (user + system) / 1_000 / (nowMs - this.lookedMs);
    this.#worked = process.threadCpuUsage();
    this.lookedMs = nowMs;
    return share;
  }
}
