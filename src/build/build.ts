// Makes dist/cip: the server, the page, the migrations, the prompts and an empty database in one file.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { buildPage } from "../../public/build.ts";

/** The Bun to put the program into where it is not this one: its name for `--target`, and the file. */
export type Runtime = { target: string; path: string };

/** Makes in `folder` what the binary carries beside the sources: the page and an empty database. */
export async function prepare(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  // An empty data directory, so that the first start unpacks (0.2 s) instead of running initdb (3 s, 1 GB).
  const initdb = bun("src/build/initdb.ts", join(folder, "postgres.tar.gz"));
  await Promise.all([buildPage(join(folder, "public")), initdb]);
}

/** Gives what Bun said. Throws an Error that says it where there is no binary. */
export async function compile(outfile: string, folder: string, runtime?: Runtime): Promise<string> {
  const embedded = [join(folder, "public"), join(folder, "postgres.tar.gz"), "sql", "prompts"];
  const assets = embedded.flatMap((path) => ["--asset", path]);
  // Names are kept (they cost 0.6% of the binary): the log's errors and stacks are read by people.
  const minify = ["--minify-syntax", "--minify-whitespace"];
  const options = ["--compile", ...minify, "--bytecode", "--splitting", "--format=esm", ...assets];
  // What a start runs, it runs once: compiled to machine code as eagerly as usual, it would take a third longer. So the
  // binary begins with thresholds that many times as high, and says itself when it is done with its start.
  options.push("--compile-jit-policy=16");
  if (runtime) options.push(`--target=${runtime.target}`, `--compile-executable-path=${runtime.path}`);
  // The working directory is the user's: of what lies there, only what cip itself reads may change what it does.
  options.push("--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig");
  return bun("build", ...options, "src/index.ts", "--outfile", outfile);
}

/** Runs this Bun in the repository and gives what it said. */
export async function bun(...args: string[]): Promise<string> {
  const child = Bun.spawn([process.execPath, ...args], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const texts = [child.stdout, child.stderr].map((stream) => new Response(stream).text());
  const said = (await Promise.all(texts)).join("");
  const status = await child.exited;
  if (status !== 0) throw new Error(said.trim() || `bun ${args[0]} ended with status ${status}`);
  return said;
}

if (import.meta.main) {
  process.chdir(join(import.meta.dir, "../.."));
  try {
    await prepare("dist");
    process.stdout.write(await compile("dist/cip", "dist"));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exit(1);
  }
}
