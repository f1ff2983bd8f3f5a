// What in a binary is not ours: found by asking Bun what it bundles, so that none is missed and none is added.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import spdx from "spdx-license-list/full";

/** `license` is an SPDX id or expression, `needs` has the purls of the parts it uses, `hash` is in hex. */
export type Part = {
  name: string;
  version: string;
  purl: string;
  license: string;
  licenseText: string;
  hash?: ["SHA-256" | "SHA-512", string];
  needs: string[];
};

const pglite = "node_modules/@electric-sql/pglite";

/** What is bundled into the server and the page; `direct` has the purls of what cip itself imports. */
export async function bundledParts(): Promise<{ parts: Part[]; direct: string[] }> {
  const imports = await importsByFolder();
  const { packages } = Bun.JSONC.parse(readFileSync("bun.lock", "utf8")) as Lock;
  const parts = [...imports.keys()].filter(Boolean).map((folder) => {
    // The lock file calls node_modules/a/node_modules/b "a/b"; the last of an entry is its tarball's SHA-512.
    const integrity = packages[folder.replaceAll(/(^|\/)node_modules\//g, "$1")]?.at(-1);
    const needs = [...(imports.get(folder) ?? [])].map(purlOf);
    return { ...fromFolder(folder), hash: sha512(folder, integrity), needs };
  });
  const postgres = postgresIn(`${pglite}/dist/pglite.wasm`);
  parts.find(({ purl }) => purl === purlOf(pglite))?.needs.push(postgres.purl);
  const all = [...parts, postgres].sort((a, b) => (a.purl < b.purl ? -1 : 1));
  return { parts: all, direct: [...(imports.get("") ?? [])].map(purlOf) };
}

type Lock = { packages: Record<string, [string, ...unknown[]]> };

/** For each folder of a package the folders that it imports from; cip itself is "". */
async function importsByFolder(): Promise<Map<string, Set<string>>> {
  const page = [...new Bun.Glob("*.ts").scanSync("public")].filter(
    (path) => !/^build\.ts$|\.d\.ts$/.test(path),
  );
  const built = await Promise.all([
    Bun.build({ metafile: true, entrypoints: ["src/index.ts"], target: "bun" }),
    Bun.build({ metafile: true, entrypoints: page.map((path) => `public/${path}`), target: "browser" }),
  ]);
  const found = new Map<string, Set<string>>([["", new Set()]]);
  for (const [path, input] of built.flatMap(({ metafile }) => Object.entries(metafile?.inputs ?? {}))) {
    const folder = folderOf(path);
    const needs = found.get(folder) ?? new Set();
    found.set(folder, needs);
    for (const target of input.imports.map((each) => folderOf(each.path)))
      if (target && target !== folder) needs.add(target);
  }
  return found;
}

function folderOf(path: string): string {
  return /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0] ?? "";
}

type Manifest = { name: string; version: string; license: string };

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

function purlOf(folder: string): string {
  const { name, version } = manifestOf(folder);
  return npmPurl(name, version);
}

/** https://github.com/package-url/purl-spec: the @ of a scope is percent-encoded. */
export function npmPurl(name: string, version: string): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

function fromFolder(folder: string) {
  const { name, version, license } = manifestOf(folder);
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|unlicense|copying|notice)/i.test(file));
  const texts = files.sort().map((file) => readFileSync(join(folder, file), "utf8"));
  const licenseText = texts.join("\n\n") || standardText(license, name);
  return { name, version, purl: npmPurl(name, version), license, licenseText };
}

/** For those that bring no text of their own; one with a gap for a name would acknowledge nobody. */
export function standardText(license: string, name: string): string {
  const text = spdx[license]?.licenseText;
  if (text === undefined || /<(year|owner|copyright holders?)>/i.test(text))
    throw new Error(`${name} (${license}) comes without the text of its licence`);
  return text;
}

function sha512(folder: string, integrity: unknown): ["SHA-512", string] {
  const [, base64] = /^sha512-(.+)$/.exec(String(integrity)) ?? [];
  if (base64 === undefined) throw new Error(`bun.lock has no checksum of ${folder}`);
  return ["SHA-512", Buffer.from(base64, "base64").toString("hex")];
}

/** The database itself, which PGlite brings as WebAssembly. */
function postgresIn(wasm: string): Part {
  const [, version] = /PostgreSQL (\d+\.\d+) \(PGlite/.exec(readFileSync(wasm, "latin1")) ?? [];
  if (version === undefined) throw new Error(`${wasm} does not say which PostgreSQL it is`);
  const license = "PostgreSQL";
  const licenseText = standardText(license, "PostgreSQL");
  return {
    name: "postgresql",
    version,
    purl: `pkg:generic/postgresql@${version}`,
    license,
    licenseText,
    needs: [],
  };
}
