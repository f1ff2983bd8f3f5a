// The types that the server gives sites for `window.cip`: what is right compiles, what is wrong does not.
import { expect, test } from "bun:test";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repository, temporaryFolder, within } from "./support.ts";

const right = [
  'window.cip("open")',
  'cip("acme.toggle")',
  'cip("send", "Hi")',
  'cip("send", "Hi", { context: { fields: { sku: "F-1" } } })',
  'cip("prefill", "Hi")',
  'cip("identify", "token")',
  'cip("identify", { user_id: "1", user_hash: "ab" })',
  'cip("identify", async () => "token")',
  'cip("identify", async () => (location.hash ? "token" : undefined))',
  'cip("identify", () => null)',
  'cip("locale", "de")',
  'cip("on", "message", ({ tenant, text, turn_id }) => console.log(tenant, text, turn_id))',
  'cip("on", "unread", ({ count }) => count.toFixed())',
  'cip("off", "open")',
  'cip("destroy")',
  'const all: Attributes = { "data-tenant": "acme", "data-position": "left", "data-z-index": "7" }',
];

const wrong = [
  'cip("opne")',
  'cip("open", "now")',
  'cip("send")',
  'cip("send", 7)',
  'cip("send", "Hi", { context: { fields: { sku: 7 } } })',
  'cip("identify", { user_id: "1" })',
  'cip("identify", () => 7)',
  'cip("on", "opened", () => {})',
  'cip("on", "unread", ({ text }) => text)',
  'const none: Attributes = { "data-position": "left" }',
  'const top: Attributes = { "data-tenant": "acme", "data-position": "top" }',
];

test("the types take every right call and no wrong one", async () => {
  const folder = temporaryFolder();
  const lines = [...right, ...wrong].map((line) => `{ ${line} }`);
  copyFileSync(join(repository, "public/cip.d.ts"), join(folder, "embed.d.ts"));
  writeFileSync(join(folder, "site.ts"), ['import type { Attributes } from "./embed"', ...lines].join("\n"));
  const tsc = join(repository, "node_modules/.bin/tsc");
  const flags = ["--noEmit", "--strict", "--target", "esnext", "--lib", "esnext,dom", "--types", ""];
  const child = Bun.spawn([tsc, ...flags, "--module", "preserve", "site.ts"], {
    cwd: folder,
    stdout: "pipe",
  });
  const output = await within(new Response(child.stdout).text(), "tsc ends", 50_000);
  const refused = [...output.matchAll(/^site\.ts\((\d+),/gm)].map(([, line]) => lines[Number(line) - 2]);
  expect([...new Set(refused)], output).toEqual(wrong.map((line) => `{ ${line} }`));
});
