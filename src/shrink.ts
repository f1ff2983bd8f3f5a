// Gives the memory of a load back when it is over. What was compiled for it, and pages on which next to nothing lies any
// more, would stay with the process: 144 % of what it held before, ten seconds after a thousand streams have ended.
import { every } from "./every.ts";
import { WorkShare } from "./workshare.ts";

const lookMs = 1_000;
const quietMs = 5_000;
/** Of the time since the last look: above it the process works, though it may write no answer. */
const atEase = 0.1;
/** Less is not worth it: the next answer finds nothing compiled, and comes some 6 ms later. */
const grownBy = 1.1;
const timesMax = 2;

type Runs = { readonly size: number; onFreed(freed: () => void): void };

/** Begins with what the process holds now. */
export function shrinkAfterLoad(runs: Runs, end: AbortSignal): void {
  let endedMs = performance.now();
  const workShare = new WorkShare();
  let restingBytes = process.memoryUsage.rss();
  runs.onFreed(() => {
    endedMs = performance.now();
  });
  const isQuiet = () => runs.size === 0 && performance.now() - endedMs > quietMs;
  const isGrown = () => process.memoryUsage.rss() > grownBy * restingBytes;
  const look = async () => {
    if (workShare.look(performance.now()) > atEase || !isQuiet() || !isGrown()) return;
    // What died with the first time is found dead by the second.
    for (let times = 0; times < timesMax && isQuiet() && isGrown(); times++) {
      Bun.shrink();
      await Bun.sleep(lookMs); // for that is done when the process has the time
    }
    if (isQuiet()) restingBytes = process.memoryUsage.rss();
  };
  every(lookMs, look, end);
}
