// Work that repeats for as long as the process lives.
import { log } from "./log.ts";

/**
 * Repeats `work` until `end` is aborted, never twice at once, the first time after `firstMs`. A failure is logged and
 * does not end it.
 */
export function every(
  periodMs: number,
  work: () => Promise<void>,
  end: AbortSignal,
  firstMs = periodMs,
): void {
  let busy = false;
  const repeat = () => {
    if (busy) return;
    busy = true;
    work()
      .catch((error: unknown) => log.error({ err: error }, "regular work failed"))
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
