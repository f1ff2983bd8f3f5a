// Builds the page, the loader and the demo site into dist/public. The same sources give the same bytes, and
// files that a page refers to carry their hash, so that they may be cached for ever.

import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { BunPlugin } from "bun";

const sourceDir = import.meta.dir;
const defaultDir = join(sourceDir, "..", "dist", "public");

/** Builds beside `outdir` and then takes its place, so that a server running on it misses no file. */
export async function buildPage(outdir = defaultDir): Promise<void> {
  const freshDir = `${outdir}.new-${process.pid}`; // two builds at once do not meet
  const staleDir = `${outdir}.old-${process.pid}`;
  await Promise.all([freshDir, staleDir].map((dir) => rm(dir, { recursive: true, force: true })));
  await mkdir(freshDir, { recursive: true });

  const assets = await Promise.all(
    ["chat.ts", "chat.css", "chat-dark.css", "panel.css", "demo.ts", "demo.css"].map((source) =>
      bundle(source, "esm", "assets/[name]-[hash].[ext]"),
    ),
  );
  const loader = [
    await bundle("embed.ts", "iife", "[name].[ext]"),
    await bundle("commands.ts", "esm", "[name].[ext]"),
  ];
  for (const { path, blob } of [...assets, ...loader].flatMap(({ files }) => files))
    await Bun.write(join(freshDir, path), blob);
  for (const page of ["chat.html", "demo.html"]) {
    const html = await Bun.file(join(sourceDir, page)).text();
    await Bun.write(join(freshDir, page), withAssets(html, assets));
  }
  await Bun.write(join(freshDir, "embed.d.ts"), Bun.file(join(sourceDir, "cip.d.ts")));

  await rename(outdir, staleDir).catch(() => {});
  await rename(freshDir, outdir);
  await rm(staleDir, { recursive: true, force: true });
}

/** What a source was built into: the file to refer to, and with it those that it loads when it needs them. */
type Bundle = { source: string; path: string; files: { path: string; blob: Blob }[] };

async function bundle(source: string, format: "esm" | "iife", naming: string): Promise<Bundle> {
  const { outputs } = await Bun.build({
    entrypoints: [join(sourceDir, source)],
    root: sourceDir,
    target: "browser",
    minify: true,
    format,
    plugins: source.endsWith(".css") ? [] : [cssAsText],
    splitting: format === "esm",
    naming: { entry: naming, chunk: naming, asset: naming },
  });
  const files = outputs.map((output) => ({ path: output.path.replace(/^\.?\//, ""), blob: output }));
  // The entry comes first, except that of a style sheet, which is an asset and the only file.
  const [entry] = files;
  if (entry === undefined) throw new Error(`${source} became nothing`);
  return { source, path: entry.path, files };
}

/** A script that imports a style sheet gets its text, without what only people read. */
const cssAsText: BunPlugin = {
  name: "css-as-text",
  setup(build) {
    build.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const text = await Bun.file(path).text();
      return { contents: text.replace(/\/\*.*?\*\//gs, "").replace(/\s+/g, " "), loader: "text" };
    });
  },
};

/** The page with each reference to a source replaced by the address of what it was built into. */
function withAssets(html: string, bundles: Bundle[]): string {
  return bundles.reduce((text, { source, path }) => text.replaceAll(`="${source}"`, `="/${path}"`), html);
}

if (import.meta.main) await buildPage();
