// `bun run release`: for each system an archive with its bill of materials, and the checksums of them all.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import pkg from "../../package.json" with { type: "json" };
import { billOfMaterials } from "./bill.ts";
import { compile, prepare } from "./build.ts";
import { type Entry, packed } from "./pack.ts";
import { bundledParts, type Part } from "./parts.ts";
import { runtimeFor, runtimeParts, targets } from "./runtime.ts";

const usage = `Usage: bun run release [--outdir <folder>] [<system> …]

Systems: ${Object.keys(targets).join(", ")}; all of them unless named.
Archives, bills of materials and SHA256SUMS go to dist/release, or to <folder>.
`;

type Commit = { name: string; date: Date };
type Bundled = { parts: Part[]; direct: string[] };

async function main(): Promise<void> {
  const { outdir, systems } = commandLine();
  process.chdir(join(import.meta.dir, "../.."));
  const commit = head();
  console.log(`cip ${pkg.version} from ${commit.name}, with Bun ${Bun.version}`);
  mkdirSync(outdir, { recursive: true });
  for (const file of readdirSync(outdir))
    if (/^cip-.*(\.tar\.gz|\.zip|\.cdx\.json)$|^SHA256SUMS$/.test(file)) rmSync(join(outdir, file));

  const work = join(outdir, "work");
  rmSync(work, { recursive: true, force: true });
  await prepare(work);
  const bundled = await bundledParts();
  const made: string[] = [];
  for (const system of systems) {
    const begun = performance.now();
    try {
      const files = await release(system, outdir, commit.date, bundled);
      made.push(...files);
      const [megabytes, seconds] = [statSync(files[0]).size / 1e6, (performance.now() - begun) / 1e3];
      say(system, `${megabytes.toFixed(1).padStart(6)} MB ${seconds.toFixed(1).padStart(6)} s`);
    } catch (error) {
      const { message } = error as Error;
      say(system, `not built: ${/^error: (.*)/m.exec(message)?.[1] ?? message}`);
      process.exitCode = 1;
    }
  }
  rmSync(work, { recursive: true });
  writeFileSync(
    join(outdir, "SHA256SUMS"),
    made.map((path) => `${sha256(path)}  ${basename(path)}\n`).join(""),
  );
  console.log(`${made.length / 2} of ${systems.length} are in ${outdir}`);
}

function commandLine(): { outdir: string; systems: string[] } {
  try {
    const options = {
      outdir: { type: "string", default: join(import.meta.dir, "../../dist/release") },
    } as const;
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const unknown = positionals.find((system) => !Object.hasOwn(targets, system));
    if (unknown !== undefined) throw new Error(`Unknown system '${unknown}'`);
    const systems = Object.keys(targets).filter(
      (system) => !positionals.length || positionals.includes(system),
    );
    return { outdir: resolve(values.outdir), systems };
  } catch (error) {
    process.stderr.write(`release: ${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}

/** The commit that lies here; where there is none, the earliest date that a zip can have. */
function head(): Commit {
  const git = (...args: string[]) =>
    Bun.spawnSync(["git", ...args])
      .stdout.toString()
      .trim();
  try {
    const [id = "", seconds = ""] = git("log", "-1", "--format=%h %ct").split(" ");
    if (id) {
      const changed = git("status", "--porcelain") ? " and changes that are in no commit" : "";
      return { name: `commit ${id}${changed}`, date: new Date(Number(seconds) * 1000) };
    }
  } catch {} // no git on this machine
  return { name: "no commit", date: new Date(Date.UTC(1980, 0, 1)) };
}

/** Makes the archive and its bill of materials and gives their paths. */
async function release(
  system: string,
  outdir: string,
  date: Date,
  bundled: Bundled,
): Promise<[string, string]> {
  const runtime = await runtimeFor(targets[system] ?? "", join(outdir, "work"));
  // Its name gets into the binary, so it is the same for all.
  const binary = join(outdir, "work", system.startsWith("windows") ? "cip.exe" : "cip");
  await compile(binary, join(outdir, "work"), runtime);
  const parts = [...bundled.parts, ...runtimeParts(runtime)];
  const name = `cip-${pkg.version}-${system}`;

  const bill = join(outdir, `${name}.cdx.json`);
  const whole = { name: pkg.name, version: pkg.version, license: pkg.license, sha256: sha256(binary), date };
  const direct = [
    ...bundled.direct,
    ...parts.filter((part) => part.name === `@oven/${runtime.target}`).map((part) => part.purl),
  ];
  writeFileSync(bill, await billOfMaterials({ ...whole, direct }, parts));

  const entry = (inside: string, path: string): Entry => ({
    name: `${name}/${inside}`,
    data: readFileSync(path),
    executable: path === binary,
  });
  const entries = [entry(basename(binary), binary), ...papers().map((path) => entry(path, path))];
  if (system.startsWith("linux")) entries.push(entry("cip.service", "deploy/cip.service"));
  const licenses = new TextEncoder().encode(licenseTexts(parts));
  entries.push({ name: `${name}/THIRD_PARTY_LICENSES`, data: licenses, executable: false });
  const archive = join(outdir, `${name}${system.startsWith("windows") ? ".zip" : ".tar.gz"}`);
  await packed(archive, entries, date);
  rmSync(binary);
  return [archive, bill];
}

/** What is to be read, and what the reading refers to. */
function papers(): string[] {
  const named = [
    ".env.example",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "prompts/default.md",
    "test/screens/site/shop-open-site-light.png",
  ];
  // The unit is beside the binary, where it is of use.
  const found = ["docs/*.md", "deploy/**/*"]
    .flatMap((path) => [...new Bun.Glob(path).scanSync()])
    .filter((path) => path !== "deploy/cip.service");
  return [...named, ...found.sort()];
}

function licenseTexts(parts: readonly Part[]): string {
  const line = "=".repeat(80);
  const texts = parts.map(({ name, version, license, licenseText }) =>
    [line, `${name} ${version} (${license})`, line, "", licenseText.trim(), "", ""].join("\n"),
  );
  return `The binary of cip contains what follows, each under the licence given with it.\n\n${texts.join("\n")}`;
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function say(system: string, what: string): void {
  console.log(`  ${system.padEnd(19)} ${what}`);
}

await main();
