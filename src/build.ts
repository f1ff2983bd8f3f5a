// Makes dist/cip: the server, the page, the migrations, the prompts and an empty database in one file.
import { rename, writeFile } from "node:fs/promises";
import { PGlite } from "@electric-sql/pglite";
import { buildPage } from "../public/build.ts";

/** An empty data directory, so that the first start unpacks (0.2 s) instead of running initdb (3 s, 1 GB). */
async function preparePostgres(path: string): Promise<void> {
  const pglite = await PGlite.create();
  await writeFile(`${path}.unfinished`, (await pglite.dumpDataDir("gzip")).stream());
  await rename(`${path}.unfinished`, path);
  await pglite.close();
}

async function compile(outfile: string): Promise<void> {
  const embedded = ["dist/public", "dist/postgres.tar.gz", "sql", "prompts"].flatMap((path) => [
    "--asset",
    path,
  ]);
  // The working directory is the user's: of what lies there, only what cip itself reads may change what it does.
  const closed = ["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"];
  const options = ["--compile", "--minify", "--bytecode", "--format=esm", ...embedded, ...closed];
  const bun = Bun.spawn([process.execPath, "build", ...options, "src/index.ts", "--outfile", outfile], {
    stdout: "inherit",
    stderr: "inherit",
  });
  if ((await bun.exited) !== 0) process.exit(1);
}

process.chdir(`${import.meta.dir}/..`);
await Promise.all([buildPage("dist/public"), preparePostgres("dist/postgres.tar.gz")]);
await compile("dist/cip");
process.exit(0); // PGlite leaves something behind that would keep the process alive
