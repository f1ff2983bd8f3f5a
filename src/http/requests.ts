// Each request as the operator sees it: counted, and at LOG_LEVEL=debug a line. It is named by its route's pattern, for
// an address has ids in it and a stranger could make up any number of them.
import type { CipError } from "../errors.ts";
import { log } from "../log.ts";
import * as metrics from "../metrics/metrics.ts";

const begunMs = new WeakMap<Request, number>();
const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

export function began(request: Request): void {
  begunMs.set(request, performance.now());
}

/**
 * Counts each request once: the framework tells of a refusal a second time, with another status. `given`: the route's
 * pattern, if any took the request. `marks`: what log lines say of it.
 */
export function answered(request: Request, given: string | undefined, status: number, marks: object): void {
  const sinceMs = begunMs.get(request);
  if (sinceMs === undefined) return;
  begunMs.delete(request);
  const route = given ?? "none";
  const durationMs = performance.now() - sinceMs;
  const method = methods.has(request.method) ? request.method : "other";
  metrics.httpRequests.inc({ route, method, status: `${Math.floor(status / 100)}xx` });
  metrics.httpRequestDuration.observe({ route }, durationMs / 1000);
  log.debug({ ...marks, method, route, status, duration_ms: Math.round(durationMs) }, "a request");
}

/** The limits that have no bucket, by the code they are refused with. */
const limits: Record<string, string> = {
  too_many_requests: "connections",
  too_many_runs: "runs",
  too_many_turns: "room",
  budget_exhausted: "budget",
};

/** Counts what a limit refuses. */
export function refused({ code, details }: CipError): void {
  const limit = details.standing?.bucket.policy ?? limits[code];
  if (limit !== undefined) metrics.refused.inc({ limit });
}
