// Work that repeats for as long as the process lives.
import { log } from "./log.ts";

/** A database that is away has all of it fail, some of it twice a second: nobody needs to be told that often. */
const toldAgainMs = 60_000;

/**
 * Repeats `work` until `end` is aborted, never twice at once, the first time after `firstMs`. A failure does not end it;
 * the first is logged, then one a minute, then that it works again.
 */
export function every(
  periodMs: number,
  work: () => Promise<void>,
  end: AbortSignal,
  firstMs = periodMs,
): void {
  let busy = false;
  let failures = 0;
  let toldAt = Number.NEGATIVE_INFINITY;
  const failed = (error: unknown) => {
    failures += 1;
    if (performance.now() - toldAt < toldAgainMs) return;
    toldAt = performance.now();
    log.error({ err: error, failures }, "regular work failed");
  };
  const done = () => {
    if (failures > 0) log.info({ failures }, "regular work goes on again");
    failures = 0;
    toldAt = Number.NEGATIVE_INFINITY;
  };
  const repeat = () => {
    if (busy) return;
    busy = true;
    work()
      .then(done, failed)
      .finally(() => {
        busy = false;
      });
  };
  let timer = setTimeout(() => {
    repeat();
    timer = setInterval(repeat, periodMs);
    timer.unref();
  }, firstMs);
  timer.unref();
  end.addEventListener("abort", () => clearTimeout(timer));
}
