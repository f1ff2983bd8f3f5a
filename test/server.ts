// The real program as a process of its own: clean environment, empty folder, from source or as the binary.
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { canary, silent } from "./canary.ts";
import { atTheEnd, repository, temporaryFolder, until, untilItExits, within } from "./support.ts";

export type Origin = "source" | "binary";

export type Place = {
  from?: Origin;
  /** How long a run of it may take. */
  timeoutMs?: number | undefined;
  /** The folder of its sources, where that is not this repository. */
  tree?: string | undefined;
  /** What follows the program's name. */
  args?: string[];
  /** The working directory; a new, empty one unless given. */
  cwd?: string;
  /** The whole environment beside PATH and HOME. */
  env?: Record<string, string>;
  /** Files of the working directory, path to text. */
  files?: Record<string, string>;
  /** Texts of `tenants/<tenant_id>.env`. */
  tenants?: Record<string, string>;
};

export type Server = {
  url: string;
  cwd: string;
  pid: number;
  stdout(): string;
  stderr(): string;
  kill(signal: NodeJS.Signals): void;
  /** Its exit code; 128 and the signal's number after a signal. */
  exited: Promise<number>;
  /** SIGTERM, and its exit code. */
  stop(): Promise<number>;
};

const apiKeys = canary("API_KEYS");

/** Tests ask faster than people do; those of the limits set their own. */
const unlimited = {
  LIMIT_MESSAGES_PER_VISITOR: "off",
  LIMIT_MESSAGES_PER_ADDRESS: "off",
  LIMIT_MESSAGES_PER_TENANT: "off",
  LIMIT_VISITORS_PER_ADDRESS: "off",
  LIMIT_READS_PER_VISITOR: "off",
  CONCURRENT_RUNS_PER_VISITOR_MAX: "1000",
  CONNECTIONS_PER_VISITOR_MAX: "100000",
  CONNECTIONS_PER_ADDRESS_MAX: "100000",
};

/** Starts cip on a port of its own choosing and waits until it is ready. */
export async function startServer(place: Place = {}): Promise<Server> {
  const { child, cwd, output } = await launch(place.args ?? [], {
    ...place,
    env: { PORT: "0", API_KEYS: apiKeys, ...unlimited, ...place.env },
  });
  const ready = async () => {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("it ended at its start");
    const address = /http:\/\/localhost:\d+/.exec(output.stdout)?.[0];
    return address && (await fetch(`${address}/readyz`).catch(() => undefined))?.ok ? address : undefined;
  };
  const url = await until(ready, "cip is ready", 30_000).catch(async (error: Error) => {
    child.kill("SIGKILL");
    await output.complete;
    throw new Error(`${error.message}\nstdout:\n${output.stdout}\nstderr:\n${output.stderr}`);
  });
  return {
    url,
    cwd,
    pid: child.pid,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    kill: (signal) => child.kill(signal),
    exited: child.exited,
    stop() {
      child.kill("SIGTERM");
      return within(child.exited, "cip stops", 40_000);
    },
  };
}

/** Runs cip with `args` to its end. */
export async function run(args: string[], place: Place = {}) {
  const { child, output } = await launch(args, place);
  const exitCode = await within(
    child.exited,
    `cip ${args.join(" ")} ends`,
    place.timeoutMs ?? 30_000,
  ).finally(() => child.kill());
  await output.complete;
  return { exitCode, stdout: output.stdout, stderr: output.stderr };
}

async function launch(args: string[], place: Place) {
  const program = place.from === "binary" ? [await binary()] : await source(place.tree);
  const cwd = place.cwd ?? temporaryFolder();
  const tenants = Object.entries(place.tenants ?? {}).map(
    ([id, text]) => [`tenants/${id}.env`, text] as const,
  );
  for (const [path, text] of [...Object.entries(place.files ?? {}), ...tenants]) {
    mkdirSync(dirname(join(cwd, path)), { recursive: true });
    writeFileSync(join(cwd, path), text, { mode: 0o600 });
  }
  const env = { PATH: process.env.PATH ?? "", HOME: temporaryFolder(), ...place.env };
  const child = Bun.spawn([...program, ...args], {
    cwd,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  untilItExits(child, child.exited);

  const output = { stdout: "", stderr: "", complete: Promise.resolve() };
  const collect = async (name: "stdout" | "stderr") => {
    for await (const text of child[name].pipeThrough(new TextDecoderStream())) output[name] += text;
  };
  output.complete = Promise.all([collect("stdout"), collect("stderr")]).then(() => {});
  atTheEnd(() => silent(output.stdout + output.stderr, "what cip printed"));
  return { child, cwd, output };
}

let page: Promise<unknown> | undefined;
let compiled: Promise<string> | undefined;

/** The command that runs the sources, with the repository's own bunfig.toml wherever it is run. */
async function source(tree = repository): Promise<string[]> {
  page ??= bun("public/build.ts");
  await page;
  return [process.execPath, `--config=${join(tree, "bunfig.toml")}`, join(tree, "src/index.ts")];
}

/** The path of the binary, built when it is missing or older than what it is made of. */
export function binary(): Promise<string> {
  compiled ??= compile();
  return compiled;
}

async function compile(): Promise<string> {
  const program = join(repository, "dist/cip");
  const changedMs = (path: string) =>
    statSync(join(repository, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const parts = [
    ...new Bun.Glob("{src,public,sql,prompts}/**/*").scanSync(repository),
    "package.json",
    "bun.lock",
  ];
  if (changedMs("dist/cip") < Math.max(...parts.map(changedMs))) await bun("src/build/build.ts");
  return program;
}

async function bun(script: string): Promise<void> {
  const child = Bun.spawn([process.execPath, script], { cwd: repository, stdout: "pipe", stderr: "pipe" });
  untilItExits(child, child.exited);
  const [out, error, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`bun ${script} ended with ${code}:\n${out}${error}`);
}
