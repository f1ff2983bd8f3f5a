// deploy/alerts.yml, judged by Prometheus itself: each rule fires for what it is for.
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { leftOut, repository, temporaryFolder } from "./support.ts";

const turns = (tenant: string, outcome: string, values: string) => ({
  series: `cip_turns_total{job="cip",instance="a",tenant="${tenant}",outcome="${outcome}"}`,
  values,
});
const fires = (alert: string, minute: number, value: number) => ({
  expr: `count(ALERTS{alertname="${alert}",alertstate="firing"}) or vector(0)`,
  eval_time: `${minute}m`,
  exp_samples: [{ value }],
});

/** `_` is a minute without the series, `20x40` forty more minutes of 20. */
const days = [
  {
    name: "twenty answers of a process that died, of a tenant that this one has not seen before",
    interval: "1m",
    input_series: [turns("acme", "interrupted", "_x20 20x40"), turns("other", "interrupted", "100x60")],
    promql_expr_test: [
      fires("CipTurnsInterrupted", 18, 0),
      fires("CipTurnsInterrupted", 25, 1),
      fires("CipTurnsInterrupted", 50, 0),
    ],
  },
  {
    name: "one site fails while the others are well, and one turn of another did",
    interval: "1m",
    input_series: [
      turns("bad", "failed", "0+1x90"),
      turns("small", "failed", "0x50 1x40"),
      turns("good", "done", "0+50x90"),
    ],
    promql_expr_test: [fires("CipSiteFailing", 2, 0), fires("CipSiteFailing", 80, 1)],
  },
];

test("the alerts about turns fire when they should, and not otherwise", () => {
  const promtool = Bun.which("promtool");
  if (!promtool) return leftOut("the alert rules", "promtool is not installed");
  const file = join(temporaryFolder(), "alerts.test.yml");
  const rules = join(repository, "deploy/alerts.yml");
  writeFileSync(file, JSON.stringify({ rule_files: [rules], evaluation_interval: "1m", tests: days }));
  const { exitCode, stdout, stderr } = Bun.spawnSync([promtool, "test", "rules", file]);
  expect([exitCode, `${stdout}${stderr}`]).toEqual([0, expect.any(String)]);
});
