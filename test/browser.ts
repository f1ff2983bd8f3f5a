// A real Chromium, from packages alone; a page that complains on its console fails the test that opened it.
import { onTestFinished } from "bun:test";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { devDependencies as versions } from "../package.json";
import { fontsConfiguration } from "./fonts.ts";
import { atTheEnd, repository, temporaryFolder, untilItExits } from "./support.ts";

let shared: Promise<Browser> | undefined;

/** The run's browser; the first call unpacks and starts it. */
export function browser(): Promise<Browser> {
  shared ??= start();
  return shared;
}

async function start(): Promise<Browser> {
  const folder = await unpacked();
  // None of the flags the package recommends: they would switch off site isolation and web security.
  const launched = await chromium.launch({
    executablePath: join(folder, "chromium"),
    args: [
      // The names of made-up sites (RFC 2606) are this machine, where a test may serve them.
      "--host-resolver-rules=MAP *.example 127.0.0.1, MAP *.test 127.0.0.1",
      // Letters are smoothed in greys: in colours a picture of them depends on where on the page they are.
      "--disable-lcd-text",
    ],
    // Its own NSS and fonts everywhere, so that every machine draws the same and none needs them installed.
    env: {
      HOME: folder,
      LD_LIBRARY_PATH: join(folder, "al2023/lib"),
      FONTCONFIG_FILE: fontsConfiguration(join(folder, "fonts/fonts")),
    },
  });
  atTheEnd(() => launched.close());
  return launched;
}

/** Chromium's folder, unpacked once per version. It appears there whole: two runs at once must not read halves. */
async function unpacked(): Promise<string> {
  const cache = join(repository, "node_modules/.cache");
  const folder = join(cache, `chromium-${versions["@sparticuz/chromium"]}`);
  if (existsSync(folder)) return folder;

  mkdirSync(cache, { recursive: true });
  const fresh = temporaryFolder(cache);
  const script = 'await (await import("@sparticuz/chromium")).default.executablePath()';
  // The package unpacks into TMPDIR, and its libraries only where it believes itself to be on Lambda.
  const env = { TMPDIR: fresh, AWS_EXECUTION_ENV: "AWS_Lambda_nodejs24.x" };
  const child = Bun.spawn([process.execPath, "-e", script], { cwd: repository, env, stderr: "pipe" });
  untilItExits(child, child.exited);
  const [error, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  if (code !== 0) throw new Error(`Chromium cannot be unpacked:\n${error}`);
  try {
    renameSync(fresh, folder);
  } catch (error) {
    // Another run was faster.
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

export type Window = {
  width?: number;
  height?: number;
  /** The browser's language. */
  locale?: string;
  /** Console errors the test is about; any other fails it. */
  expected?: RegExp[];
};

/**
 * A page in a context of its own, closed when the test ends. To be called inside a test, which fails if the page
 * logs an error, throws one, or breaks its Content-Security-Policy (Chromium logs that as an error).
 */
export async function page(browser: Browser, window: Window = {}): Promise<Page> {
  const { width = 1280, height = 800, locale = "en-US", expected = [] } = window;
  const context = await browser.newContext({ viewport: { width, height }, locale });
  const complaints: string[] = [];
  context.on("console", (message) => {
    if (message.type() === "error") complaints.push(`${message.text()} (${message.location().url})`);
  });
  context.on("weberror", (error) => complaints.push(String(error.error())));
  onTestFinished(async () => {
    await context.close();
    const unexpected = complaints.filter((text) => !expected.some((pattern) => pattern.test(text)));
    if (unexpected.length > 0) throw new Error(`the page complained:\n${unexpected.join("\n")}`);
  });
  return context.newPage();
}
