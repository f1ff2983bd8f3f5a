// What must not grow with all that is stored: what a visitor does beside millions of other visitors' turns.
import { scriptedModel } from "../../model.ts";
import type { Bench, Scenario } from "../bench.ts";
import { newVisitor } from "../peers/cip.ts";
import { type Acts, caller, compare, type Site, site } from "./pair.ts";

export const rows: Scenario = {
  title: "What must not grow with the turns of others",
  async run(bench) {
    const model = await scriptedModel();
    await measured(bench, Number(new URL(model.baseUrl).port));
    model.close();
  },
};

/** An empty database, and one with 10 million turns of others. */
async function measured(bench: Bench, modelPort: number): Promise<void> {
  const [small, large] = [await site(modelPort), await site(modelPort)];
  await large.fill.others(bench.rows, (turns) => bench.say(`${turns} of ${bench.rows} turns stored`));
  bench.say(`${bench.rows} turns stored`);
  const acts = async ({ running, fill }: Site): Promise<Acts> => {
    const { token, user_id } = await newVisitor(running.port, "default");
    const ids: string[] = [];
    for (let i = 0; i < 20; i++) ids.push(await fill.conversation(user_id, 5));
    const call = caller(running, "default", token);
    const answered = await call("POST", "/turns", { message: "Hello" });
    const turn = answered.headers.get("location")?.replace("/v1/default", "");
    return {
      list: () => call("GET", "/conversations"),
      open: () => call("GET", `/conversations/${ids[7]}`),
      resume: () => call("GET", `${turn}/stream?after=0`),
      ask: () => call("POST", "/turns", { message: "Hello", conversation_id: ids[3] }),
    };
  };
  await compare(bench, `rows: ${bench.rows} turns stored`, await acts(small), await acts(large));
  await Promise.all([small.end(), large.end()]);
}
