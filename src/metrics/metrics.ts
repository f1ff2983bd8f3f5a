// What cip counts, as Prometheus reads it: one constant a metric. Labels take few values: of all there are, only the
// tenants' number is not bounded by the code, and only counters of turns and tokens carry it.
import { setImmediate } from "node:timers/promises";
// By its parts: the whole brings along clusters, push gateways and Node's HTTP, for 5 ms of every start.
import Counter from "prom-client/lib/counter";
import Gauge from "prom-client/lib/gauge";
import Histogram from "prom-client/lib/histogram";
import Registry from "prom-client/lib/registry";
import pkg from "../../package.json" with { type: "json" };
import { FastHistogram } from "./histogram.ts";

const registry = new Registry();
const registers = [registry];

function counter<L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> {
  return new Counter({ name: `cip_${name}`, help, labelNames, registers });
}

function gauge<L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> {
  return new Gauge({ name: `cip_${name}`, help, labelNames, registers });
}

function histogram<L extends string>(name: string, help: string, buckets: number[], ...labelNames: L[]) {
  return new Histogram({ name: `cip_${name}`, help, buckets, labelNames, registers });
}

const quick = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const slow = [0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120];
const gaps = [0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5, 10, 30];

export const buildInfo = gauge("build_info", "1; its labels say which build this is.", "version", "bun");
buildInfo.set({ version: pkg.version, bun: Bun.version }, 1);

export const httpRequests = counter(
  "http_requests_total",
  "Requests, by the pattern of their route and the class of their status.",
  "route",
  "method",
  "status",
);
export const httpRequestDuration = histogram(
  "http_request_duration_seconds",
  "From a request to the head of its answer; a stream goes on after that.",
  quick,
  "route",
);
export const refused = counter(
  "refused_total",
  "What was refused because a limit or budget is used up, by which one.",
  "limit",
);
export const readers = gauge(
  "readers",
  "Who reads an answer while it is written, by transport.",
  "transport",
);
export const reads = counter(
  "reads_total",
  "Answers that were read, and whether the reader stayed to the end.",
  "transport",
  "ending",
);
export const socketsOpen = gauge("sockets_open", "WebSockets that are open.");

export const turns = counter("turns_total", "Turns that ended here, by how.", "tenant", "outcome");
export const turnErrors = counter("turn_errors_total", "Turns that failed, by error code.", "code");
export const tokens = counter(
  "tokens_total",
  "Tokens as the model reports them, read (input) and written (output).",
  "tenant",
  "type",
);
export const turnsRunning = gauge("turns_running", "Answers that this process is writing.");
export const firstChunk = histogram(
  "first_chunk_seconds",
  "From the beginning of a run to the first piece of its answer.",
  slow,
);
export const turnDuration = histogram(
  "turn_duration_seconds",
  "From the beginning of a run to its end.",
  slow,
);
export const chunkGap = new FastHistogram({
  name: "cip_chunk_gap_seconds",
  help: "Between two pieces of an answer, as they are read from the model.",
  buckets: gaps,
  registers,
});
export const checkpointDuration = histogram(
  "checkpoint_duration_seconds",
  "To store what all running answers have gained.",
  quick,
);

export const modelAttempts = counter("model_attempts_total", "Calls of the model.", "endpoint");
export const modelRetries = counter(
  "model_retries_total",
  "Those of them that repeat a failed one.",
  "endpoint",
);
export const modelErrors = counter(
  "model_errors_total",
  "Calls of the model that failed, by error code and the class of its status, or none.",
  "endpoint",
  "code",
  "status",
);

export const databaseConnections = gauge(
  "database_connections_in_use",
  "Connections that work on something.",
);
export const databaseConnectionsMax = gauge("database_connections_max", "DATABASE_POOL_SIZE; 1 if embedded.");
export const databaseWaiting = gauge("database_waiting", "Transactions that wait for a connection.");
export const databaseWait = histogram(
  "database_wait_seconds",
  "What transactions waited for a connection.",
  quick,
);
export const databaseErrors = counter(
  "database_errors_total",
  "Transactions that failed by the database: it was lost, or busy for too long.",
  "kind",
);

export const databaseUp = gauge("database_up", "1 if the database answers at this moment, else 0.");
export const turnsQueued = gauge(
  "turns_queued",
  "Turns that wait to be run, those of all processes together.",
);
export const turnsQueuedOldest = gauge(
  "turns_queued_oldest_seconds",
  "How long the oldest of them has waited.",
);
export const budgetUsed = gauge(
  "budget_tokens_used",
  "Tokens of this day (UTC) that are used or reserved, of tenants with DAILY_TOKENS_MAX.",
  "tenant",
);
export const budgetMax = gauge("budget_tokens_max", "DAILY_TOKENS_MAX, where a tenant has it.", "tenant");

export const eventLoopDelay = histogram(
  "event_loop_delay_seconds",
  "How late a timer goes off, looked at ten times a second.",
  quick,
);
export const heapUsed = gauge("heap_used_bytes", "What JavaScript's objects take.");
// Every exporter names these alike, and so do the dashboards that are there.
export const memory = new Gauge({
  name: "process_resident_memory_bytes",
  help: "Resident memory.",
  registers,
});
export const cpu = new Counter({
  name: "process_cpu_seconds_total",
  help: "CPU, user and system.",
  registers,
});
export const startTime = new Gauge({
  name: "process_start_time_seconds",
  help: "When the process began, since the Unix epoch.",
  registers,
});

// What has not happened yet is 0, or its first time would be no rise.
for (const transport of ["sse", "websocket", "json"] as const) {
  readers.set({ transport }, 0);
  for (const ending of ["whole", "left"]) reads.inc({ transport, ending }, 0);
}
for (const endpoint of ["primary", "fallback"]) {
  modelAttempts.inc({ endpoint }, 0);
  modelRetries.inc({ endpoint }, 0);
}
for (const kind of ["lost", "busy"]) databaseErrors.inc({ kind }, 0);

export const { contentType } = registry;

/** All there is in the text format, with a pause after each metric: readers wait for no more than the largest. */
export async function exposition(): Promise<string> {
  const texts: string[] = [];
  for (const { name } of registry.getMetricsAsArray()) {
    texts.push(await registry.getSingleMetricAsString(name));
    await setImmediate();
  }
  return `${texts.join("\n")}\n`;
}

/** A reader of an answer, counted from now until the function that this returns is called. */
export function beginReading(transport: "sse" | "websocket" | "json"): (ending: "whole" | "left") => void {
  readers.inc({ transport });
  let over = false;
  return (ending) => {
    if (over) return;
    over = true;
    readers.dec({ transport });
    reads.inc({ transport, ending });
  };
}
