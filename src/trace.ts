// What one request is known by in the log, to the model's provider and to a tracing system. It is passed on as it came:
// cip records no spans of its own, and such a service leaves trace context as it is (W3C Trace Context, 3.2.4 and 4.4).

/** As it is stored with the turn, whose run may begin later and elsewhere. */
export type Trace = { request_id: string; traceparent?: string; tracestate?: string };

type Headers = Record<string, string | undefined>;

/** Trace context that is none is dropped (W3C Trace Context, 3.2.2.3 and 4.3): its sender then starts a trace of its own. */
export function traceOf({ traceparent = "", tracestate = "" }: Headers, requestId: string): Trace {
  if (!isTraceparent(traceparent)) return { request_id: requestId };
  return { request_id: requestId, traceparent, ...(isTracestate(tracestate) && { tracestate }) };
}

/**
 * The id that the proxy in front gave, where there is one to trust: then its log and ours name a request alike. Anybody
 * else's is not taken, for whoever chooses ids can make one request look like another.
 */
export function requestIdOf(given: string | null, trustedProxies: number): string {
  const isTaken = given !== null && trustedProxies > 0 && /^[\w.:-]{8,128}$/.test(given);
  return isTaken ? given : Bun.randomUUIDv7();
}

/** What the upstream call carries of it. */
export function headersOf(trace: Trace | undefined): Record<string, string> {
  if (!trace) return {};
  const { request_id, ...context } = trace;
  return { "x-request-id": request_id, ...context };
}

/** What log lines say of it. */
export function marksOf(trace: Trace | undefined): { request_id?: string; trace_id?: string } {
  if (!trace) return {};
  const traceId = trace.traceparent?.split("-")[1];
  return { request_id: trace.request_id, ...(traceId && { trace_id: traceId }) };
}

/** A later version may say more after the flags; version 00 says no more, and ff is none. */
function isTraceparent(text: string): boolean {
  const [, version, traceId, parentId, more] =
    /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-[\x21-\x7e]{0,200})?$/.exec(text) ?? [];
  if (version === undefined || version === "ff" || (version === "00" && more !== undefined)) return false;
  return !/^0+$/.test(traceId ?? "") && !/^0+$/.test(parentId ?? "");
}

/** The least that must be passed on, and the most that a stranger may have stored here (3.3.1.5). */
const tracestateCharsMax = 512;
const membersMax = 32;
const member =
  /^(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

function isTracestate(text: string): boolean {
  if (text === "" || text.length > tracestateCharsMax) return false;
  const members = text.split(",").map((entry) => entry.replace(/^[ \t]+|[ \t]+$/g, ""));
  const some = members.filter((entry) => entry !== ""); // an empty one is allowed, and says nothing
  return members.length <= membersMax && some.length > 0 && some.every((entry) => member.test(entry));
}
