// Work that repeats for as long as the process lives.
import { log } from "./log.ts";

/** Repeats `work` until `end` is aborted, never twice at once. A failure is logged and does not end it. */
export function every(periodMs: number, work: () => Promise<void>, end: AbortSignal): void {
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    work()
      .catch((error: unknown) => log.error({ err: error }, "regular work failed"))
      .finally(() => {
        busy = false;
      });
  }, periodMs);
  timer.unref();
  end.addEventListener("abort", () => clearInterval(timer));
}
