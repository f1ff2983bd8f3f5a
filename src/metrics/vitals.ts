// How the process itself is: how late its timers are, its memory and its CPU.
import * as metrics from "./metrics.ts";

const periodMs = 100;

/** Watches the event loop until `end`. Each stall of 100 ms and more is seen, of shorter ones a share. */
export function watchEventLoop(end: AbortSignal): void {
  let dueMs = performance.now() + periodMs;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    metrics.eventLoopDelay.observe(Math.max(0, nowMs - dueMs) / 1000);
    dueMs = nowMs + periodMs;
  }, periodMs);
  timer.unref();
  end.addEventListener("abort", () => clearInterval(timer));
}

metrics.startTime.set(Date.now() / 1000 - process.uptime());

/** Looks at memory and CPU as they are now. */
export function takeVitals(): void {
  const { rss, heapUsed } = process.memoryUsage();
  metrics.memory.set(rss);
  metrics.heapUsed.set(heapUsed);
  const { user, system } = process.cpuUsage();
  metrics.cpu.reset();
  metrics.cpu.inc((user + system) / 1_000_000);
}
