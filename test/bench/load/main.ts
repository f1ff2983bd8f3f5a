// The process of the load side: takes plans as lines of JSON, answers each with its outcome.
import { Load, type Plan } from "./run.ts";

const load = new Load(Number(process.argv[2]));
for await (const line of console) {
  const plan = JSON.parse(line) as Plan;
  try {
    console.log(JSON.stringify({ outcome: load.run(plan) }));
  } catch (error) {
    console.log(JSON.stringify({ failure: String(error) }));
  }
}
