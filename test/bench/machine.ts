// The machine that is measured on: its cores, who runs on which, and what processes have cost, from Linux' /proc.
import { readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";

/** The numbers of the cores that this process may use: `0-1`, `2,5-7`. */
const cores = (/^Cpus_allowed_list:\s+(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0")
  .split(",")
  .flatMap((part) => {
    const [from = 0, to = from] = part.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`);
  });
/** One core is the system's under test, another one the model's and the readers'; on one core they share it. */
export const apart = cores.length > 1;
const [systemCore = "0", loadCore = systemCore] = cores;

/** For the thread that carries the load, and not for those that compile and collect for it. */
const priority = ["chrt", "--reset-on-fork", "--fifo", "1"];
/**
 * Whether the load side goes before all else on its core, for which this must be root. It stands for other machines, and
 * PostgreSQL, of whose processes each may have as much of that core as all of the load side, made the model late by up to
 * 0.1 s: that counted as the system's.
 */
export const goesFirst = apart && Bun.which("chrt") !== null && Bun.spawnSync([...priority, "true"]).success;

/** The words before a command that keep it on a core. */
export const onSystemCore = ["taskset", "-c", systemCore];
export const onLoadCore = [...(goesFirst ? priority : []), "taskset", "-c", loadCore];

/** Moves a running process with all its threads and children, and all that it will start, to the load side's core. */
export function moveToLoadCore(pid: number): void {
  for (const member of family(pid)) Bun.spawnSync(["taskset", "-apc", loadCore, `${member}`]);
}

/** A process and all that it has started, as far as they live. */
export function family(pid: number): number[] {
  let children: string;
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  } catch {
    return [];
  }
  return [pid, ...children.split(" ").filter(Boolean).map(Number).flatMap(family)];
}

const ticksUs = 1_000_000 / Number(Bun.spawnSync(["getconf", "CLK_TCK"]).stdout.toString());

/** CPU time since their start and resident memory, of processes and all that they have started. */
export function processCost(pids: readonly number[]): { cpuUs: number; rssKb: number } {
  let cpuUs = 0;
  let rssKb = 0;
  for (const pid of pids.flatMap(family)) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      cpuUs += (Number(fields[11]) + Number(fields[12])) * ticksUs;
      rssKb += Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
    } catch {
      // It has ended meanwhile.
    }
  }
  return { cpuUs, rssKb };
}

export function machine() {
  return {
    processor: cpus()[0]?.model ?? "unknown",
    cores: cores.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: readFileSync("/proc/sys/kernel/osrelease", "utf8").trim(),
    apart,
    goesFirst,
  };
}
