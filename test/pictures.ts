// Pictures of what a person sees, held against those in test/screens/. One that differs by more than how a machine
// rounds is laid aside in dist/screens/, with the difference marked.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import pixelmatch from "pixelmatch";
import type { Page } from "playwright-core";
import { PNG } from "pngjs";
import { repository } from "./support.ts";

const kept = join(repository, "test/screens");
const differing = join(repository, "dist/screens");
/** Set to make the pictures anew that differ. */
const renew = process.env.CIP_TEST_RENEW !== undefined;
/** Of a letter that moves or a line that changes its colour there are more. */
const pixelsMax = 30;

type Clip = { x: number; y: number; width: number; height: number };
type Size = { width: number; height: number; clip?: Clip };

/** A page of its own is pictured where the chat is in it, the tall ones are as long as the longest answer. */
const sizes = {
  phone: { width: 390, height: 844 },
  desktop: { width: 1280, height: 800, clip: { x: 230, y: 0, width: 820, height: 800 } },
  "phone-tall": { width: 390, height: 1040 },
  "desktop-tall": { width: 1280, height: 960, clip: { x: 230, y: 0, width: 820, height: 960 } },
  narrow: { width: 320, height: 568 },
  /** 1280 by 800 at 200 %. */
  zoomed: { width: 640, height: 400 },
  site: { width: 1280, height: 800 },
  corner: { width: 1280, height: 800, clip: { x: 1080, y: 640, width: 200, height: 160 } },
} satisfies Record<string, Size>;

export type Look = `${keyof typeof sizes} ${"light" | "dark"}`;

/** The pictures in a folder of test/screens/, all of which the file that asks for it takes. */
export function album(folder: string) {
  const taken = new Set<string>();
  return {
    /** Pictures `page` in each look; fails with what differs, once all of them are taken. */
    async show(page: Page, state: string, ...looks: Look[]): Promise<void> {
      const complaints: string[] = [];
      for (const look of looks) {
        const [name, colorScheme] = look.split(" ") as [keyof typeof sizes, "light" | "dark"];
        const { clip, ...size }: Size = sizes[name];
        await page.setViewportSize(size);
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        const file = `${state}-${name}-${colorScheme}.png`;
        taken.add(file);
        complaints.push(...hold(join(folder, file), await atRest(page, clip)));
      }
      if (complaints.length > 0) throw new Error(complaints.join("\n"));
    },
    /** Those that are kept and were not taken. */
    forgotten: () => readdirSync(join(kept, folder)).filter((file) => !taken.has(file)),
  };
}

/** As the page stays: two pictures in a row are the same. */
async function atRest(page: Page, clip?: Clip): Promise<Buffer> {
  const options = { animations: "disabled", caret: "hide", scale: "css", ...(clip && { clip }) } as const;
  let before = await page.screenshot(options);
  for (let attempts = 0; attempts < 50; attempts += 1) {
    const after = await page.screenshot(options);
    if (after.equals(before)) return after;
    before = after;
  }
  throw new Error("the page does not come to rest");
}

function hold(file: string, picture: Buffer): string[] {
  const path = join(kept, file);
  const now = PNG.sync.read(picture);
  const before = existsSync(path) ? PNG.sync.read(readFileSync(path)) : undefined;
  const difference = before && differenceOf(before, now);
  if (difference !== undefined && difference.pixels <= pixelsMax) return [];
  if (renew) {
    writeFileSync(path, small(now));
    return [];
  }
  const aside = join(differing, file);
  mkdirSync(dirname(aside), { recursive: true });
  writeFileSync(aside, picture);
  if (difference?.picture) writeFileSync(aside.replace(/png$/, "diff.png"), small(difference.picture));
  const what = difference ? `differs in ${difference.pixels} pixels` : "is not kept yet";
  return [`${file} ${what}: see ${relative(repository, aside)}; CONTRIBUTING.md says how to renew it`];
}

function differenceOf(before: PNG, now: PNG): { pixels: number; picture?: PNG } {
  const { width, height } = now;
  if (before.width !== width || before.height !== height) return { pixels: width * height };
  const picture = new PNG({ width, height });
  const pixels = pixelmatch(before.data, now.data, picture.data, width, height, { threshold: 0.1 });
  return { pixels, picture };
}

/** Without transparency, and packed as tightly as it goes: these files are in every clone. */
const small = (picture: PNG) =>
  PNG.sync.write(picture, { colorType: 2, deflateLevel: 9, deflateStrategy: 0, filterType: 0 });
