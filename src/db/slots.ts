// A queue for the connections of the pool that, unlike the pool's own, has an end and can be looked at: who waits longer
// than 2 s gets database_unavailable.
import { CipError } from "../errors.ts";
import * as metrics from "../metrics/metrics.ts";

const waitMs = 2_000;

/**
 * Gives a slot, as a function that frees it. With it the pool itself never queues, and on the embedded database
 * transactions never interleave.
 */
export function slots(size: number): () => Promise<() => void> {
  let free = size;
  const waiting = new Set<() => void>();
  metrics.databaseConnectionsMax.set(size);

  const change = (by: number) => {
    free += by;
    metrics.databaseConnections.set(size - free);
  };
  const release = () => {
    change(1);
    const [next] = waiting;
    next?.();
  };
  return async () => {
    if (free > 0) {
      change(-1);
      metrics.databaseWait.observe(0);
      return release;
    }
    const waited = metrics.databaseWait.startTimer();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = () => {
      clearTimeout(timer);
      waiting.delete(wake);
      metrics.databaseWaiting.set(waiting.size);
      waited();
    };
    const wake = () => {
      leave();
      change(-1);
      resolve();
    };
    const timer = setTimeout(() => {
      leave();
      metrics.databaseErrors.inc({ kind: "busy" });
      const cause = new Error(`no free connection within ${waitMs} ms`);
      reject(new CipError("database_unavailable", { retryAfterSeconds: 2 }, { cause }));
    }, waitMs);
    waiting.add(wake);
    metrics.databaseWaiting.set(waiting.size);
    await promise;
    return release;
  };
}
