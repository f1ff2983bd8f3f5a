// What must not get slower as an installation grows: a conversation of many turns, a server of many tenants.
import { scriptedModel } from "../../model.ts";
import type { Bench, Scenario } from "../bench.ts";
import { newVisitor } from "../peers/cip.ts";
import { type Acts, caller, compare, type Site, site } from "./pair.ts";

const sizes = {
  full: { turns: 10_000, tenants: 10_000 },
  quick: { turns: 10_000, tenants: 10_000 },
  tiny: { turns: 50, tenants: 5 },
};

export const growth: Scenario = {
  title: "What must not grow",
  async run(bench) {
    const model = await scriptedModel();
    const modelPort = Number(new URL(model.baseUrl).port);
    await conversations(bench, modelPort);
    await tenants(bench, modelPort);
    model.close();
  },
};

/** One conversation of one turn, and one of 10,000, of the same visitor. */
async function conversations(bench: Bench, modelPort: number): Promise<void> {
  const { turns } = sizes[bench.size];
  const large = await site(modelPort);
  bench.say(`a conversation with ${turns} turns`);
  const { token, user_id } = await newVisitor(large.running.port, "default");
  const acts = async (count: number): Promise<Acts> => {
    const id = await large.fill.conversation(user_id, count);
    const call = caller(large.running, "default", token);
    return {
      open: () => call("GET", `/conversations/${id}`),
      ask: () => call("POST", "/turns", { message: "And now?", conversation_id: id }),
    };
  };
  await compare(bench, `growth: a conversation with ${turns} turns`, await acts(1), await acts(turns));
  await large.end();
}

/** A server with one tenant's file, and one with 10,000. */
async function tenants(bench: Bench, modelPort: number): Promise<void> {
  const count = sizes[bench.size].tenants;
  bench.say(`${count} tenant files`);
  const files = (many: number) =>
    Object.fromEntries(Array.from({ length: many }, (_, i) => [`t${i}`, `TENANT_NAME=Site ${i}\n`]));
  const [small, large] = [await site(modelPort, files(1)), await site(modelPort, files(count))];
  const acts = async ({ running }: Site, tenant: string): Promise<Acts> => {
    const { token } = await newVisitor(running.port, tenant);
    const call = caller(running, tenant, token);
    return {
      ask: () => call("POST", "/turns", { message: "Hello" }),
      list: () => call("GET", "/conversations"),
      page: () => fetch(`http://127.0.0.1:${running.port}/${tenant}`),
    };
  };
  const group = `growth: a tenant among ${count}`;
  await compare(bench, group, await acts(small, "t0"), await acts(large, `t${count >> 1}`));
  for (const [name, { running }] of [
    ["start ms", small] as const,
    [`start ms, ${count} files`, large] as const,
  ])
    bench.figures.add(`${group}, start`, name, {
      ms: running.startMs,
      "MB resident": running.rssKb() / 1_024,
    });
  await Promise.all([small.end(), large.end()]);
}
