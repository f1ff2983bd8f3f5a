// Gives the memory of a load back when it is over. What was compiled for it, and pages on which next to nothing lies any
// more, would stay with the process: 144 % of what it held before, ten seconds after a thousand streams have ended.
import { every } from "./every.ts";

const lookMs = 1_000;
/** A load that goes on has answers within it. */
const quietMs = 5_000;
/** Less is not worth it: the next answer finds nothing compiled, and comes some 6 ms later. */
const grownBy = 1.1;
const timesMax = 2;

type Work = { readonly size: number; onFreed(freed: () => void): void };

/** Begins with what the process holds now. */
export function shrinkAfterLoad(work: Work, end: AbortSignal): void {
  let endedMs = performance.now();
  let restingBytes = process.memoryUsage.rss();
  work.onFreed(() => {
    endedMs = performance.now();
  });
  const isWorthIt = () => {
    const isQuiet = work.size === 0 && performance.now() - endedMs > quietMs;
    return isQuiet && process.memoryUsage.rss() > grownBy * restingBytes;
  };
  const look = async () => {
    if (!isWorthIt()) return;
    // What died with the first time is found dead by the second.
    for (let times = 0; times < timesMax && isWorthIt(); times++) {
      Bun.shrink();
      await Bun.sleep(lookMs); // for that is done when the process has the time
    }
    restingBytes = process.memoryUsage.rss();
  };
  every(lookMs, look, end);
}
