// The memory that many answers at once have taken is the system's again soon after they have ended.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { drain } from "./client.ts";
import { answer } from "./model.ts";
import { startSite } from "./site.ts";
import { leftOut, until } from "./support.ts";

const isLinux = process.platform === "linux";
if (!isLinux) leftOut("memory after a load", "only Linux tells it in /proc");

test.if(isLinux)("after a load the server is as small as before it", async () => {
  const site = await startSite();
  const memoryBytes = () =>
    Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${site.server.pid}/status`, "utf8"))?.[1]) * 1024;
  const words = Array.from({ length: 400 }, (_, i) => ` word ${i}`);
  site.model.always(() => answer(...words));
  const ask = async (count: number) => {
    const tokens = await Promise.all(Array.from({ length: count }, () => site.visitor()));
    await Promise.all(tokens.map(async (token) => drain(await site.stream(token, "Go on"))));
  };
  await ask(5);
  const before = memoryBytes();
  for (let i = 0; i < 4; i++) await ask(50);
  const grown = memoryBytes();
  expect(grown).toBeGreaterThan(1.1 * before);
  await until(() => memoryBytes() < before * 1.03, "what was taken is given back", 20_000);
  await ask(1);
});
