// Builds the page, the loader and the demo site into dist/public. The same sources give the same bytes, and
// files that a page refers to carry their hash, so that they may be cached for ever.

import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";

const sourceDir = import.meta.dir;
const defaultDir = join(sourceDir, "..", "dist", "public");

/** Builds beside `outdir` and then takes its place, so that a server running on it misses no file. */
export async function buildPage(outdir = defaultDir): Promise<void> {
  const freshDir = `${outdir}.new-${process.pid}`; // two builds at once do not meet
  const staleDir = `${outdir}.old-${process.pid}`;
  await Promise.all([freshDir, staleDir].map((dir) => rm(dir, { recursive: true, force: true })));
  await mkdir(freshDir, { recursive: true });

  const assets = await bundle(
    ["chat.ts", "chat.css", "demo.ts", "demo.css"],
    "esm",
    "assets/[name]-[hash].[ext]",
  );
  const loader = await bundle(["embed.ts"], "iife", "[name].[ext]");
  const written = [...assets, ...loader];
  for (const { path, blob } of written) await Bun.write(join(freshDir, path), blob);
  for (const page of ["chat.html", "demo.html"]) {
    const html = await Bun.file(join(sourceDir, page)).text();
    await Bun.write(join(freshDir, page), withAssets(html, assets));
  }

  await rename(outdir, staleDir).catch(() => {});
  await rename(freshDir, outdir);
  await rm(staleDir, { recursive: true, force: true });
}

type Asset = { source: string; path: string; blob: Blob };

async function bundle(sources: string[], format: "esm" | "iife", entry: string): Promise<Asset[]> {
  return Promise.all(
    sources.map(async (source) => {
      const { outputs } = await Bun.build({
        entrypoints: [join(sourceDir, source)],
        root: sourceDir,
        target: "browser",
        minify: true,
        format,
        naming: { entry, asset: entry },
      });
      const [output] = outputs;
      if (output === undefined || outputs.length !== 1) throw new Error(`${source} did not become one file`);
      return { source, path: output.path.replace(/^\.?\//, ""), blob: output };
    }),
  );
}

/** The page with each reference to a source replaced by the address of what it was built into. */
function withAssets(html: string, assets: Asset[]): string {
  return assets.reduce((text, { source, path }) => text.replaceAll(`="${source}"`, `="/${path}"`), html);
}

if (import.meta.main) await buildPage();
