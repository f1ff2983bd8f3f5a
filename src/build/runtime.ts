// The Bun that a binary begins with: this one where it is for its own system, else that of npm, whose integrity
// `bun add` checks; the download of `bun build --compile` itself checks none.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bun, type Runtime } from "./build.ts";
import { npmPurl, type Part, standardText } from "./parts.ts";

/** What a release is made for, and what Bun calls it. */
export const targets: Readonly<Record<string, string>> = {
  "linux-x64": "bun-linux-x64",
  "linux-x64-baseline": "bun-linux-x64-baseline", // for processors without AVX2
  "linux-x64-musl": "bun-linux-x64-musl",
  "linux-arm64": "bun-linux-aarch64",
  "linux-arm64-musl": "bun-linux-aarch64-musl",
  "macos-x64": "bun-darwin-x64",
  "macos-arm64": "bun-darwin-aarch64",
  "windows-x64": "bun-windows-x64",
  "windows-arm64": "bun-windows-aarch64",
};

/** What is downloaded goes into `folder`. */
export async function runtimeFor(target: string, folder: string): Promise<Runtime> {
  if (target === ownTarget()) return { target, path: process.execPath };
  const home = join(folder, target);
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, "package.json"), "{}");
  await bun("add", "--cwd", home, "--os=*", "--cpu=*", `@oven/${target}@${Bun.version}`);
  const path = `node_modules/@oven/${target}/bin/bun`;
  return { target, path: join(home, target.includes("windows") ? `${path}.exe` : path) };
}

/** What Bun calls the system that this process runs on. */
export function ownTarget(): string {
  const arch = process.arch === "arm64" ? "aarch64" : process.arch;
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const musl = process.platform === "linux" && header.glibcVersionRuntime === undefined;
  return `bun-${process.platform}-${arch}${musl ? "-musl" : ""}`;
}

/** Bun, and in it WebKit, the one of its parts whose licence asks for more than its name. */
export function runtimeParts({ target, path }: Runtime): Part[] {
  const webkit = process.versions.webkit ?? "";
  const license = "LGPL-2.0-or-later";
  const engine: Part = {
    name: "WebKit",
    version: webkit,
    purl: `pkg:github/oven-sh/webkit@${webkit}`,
    license,
    licenseText: standardText(license, "WebKit"),
    needs: [],
  };
  const runtime: Part = {
    name: `@oven/${target}`,
    version: Bun.version,
    purl: npmPurl(`@oven/${target}`, Bun.version),
    license: "MIT",
    // The package has no text; the types of the same version bring the page that names all that is in it.
    licenseText: readFileSync("node_modules/bun-types/docs/project/license.mdx", "utf8").replace(
      /^---.*?---\s/s,
      "",
    ),
    hash: ["SHA-256", createHash("sha256").update(readFileSync(path)).digest("hex")],
    needs: [engine.purl],
  };
  return [runtime, engine];
}
