// What if a query forgot its tenant? Each condition on tenant_id is taken out of its module in turn, and row-level
// security alone still shows no row of another tenant, nor lets one be changed.
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import type { Database } from "../src/db/db.ts";
import {
  type Attempt,
  as,
  attemptsOn,
  type Modules,
  modules,
  newcomer,
  nothing,
  outcomeOf,
  type Prey,
  plant,
  rowsIn,
  rowsOf,
} from "./attempts.ts";
import { databases } from "./database.ts";
import { repository, temporaryFolder } from "./support.ts";

/** One module with one condition less. `name` is where it was. */
type Mutant = { name: string; module: keyof Modules; text: string };

const source = join(repository, "src");
const condition = /(?:\w+\.)?tenant_id = (?:\$\{tx\.tenantId\}|\w+\.tenant_id)/g;
/** Where else a tenant's transaction names its tenant: a new row's key, a function's first argument, a claim. */
const elsewhere =
  /(?:values \(|select )\$\{tx\.tenantId\}|\b(?:reserve|spend|history|is_full)\(\$\{tx\.tenantId\}|tenantId: tx\.tenantId/g;

/** Mutants say here that their query was made without the condition. */
const reached = new Set<string>();
Object.assign(globalThis, { reachedMutant: (name: string) => void reached.add(name) });

/** The files with queries in a tenant's transaction, and of each the parts in which `tx` is one. */
const files = [...new Bun.Glob("**/*.ts").scanSync(source)]
  .sort()
  .map((file) => ({ file, text: readFileSync(join(source, file), "utf8") }))
  .filter(({ text }) => /\btx: TenantTx\b/.test(text) && text.includes("tx.tenantId"));

function isTenants(text: string, index: number): boolean {
  const [last] = [...text.slice(0, index).matchAll(/\btx: (TenantTx|SystemTx)/g)].reverse();
  return last?.[1] === "TenantTx";
}

const mutants: Mutant[] = files.flatMap(({ file, text }) =>
  [...text.matchAll(condition)]
    .filter(({ index }) => isTenants(text, index))
    .map(({ index, 0: found }) => {
      const name = `${file}:${text.slice(0, index).split("\n").length}:${index - text.lastIndexOf("\n", index)}`;
      const hole = `\${(globalThis.reachedMutant("${name}"), tx\`true\`)}`;
      const mutated = text.slice(0, index) + hole + text.slice(index + found.length);
      return {
        name,
        module: basename(file, ".ts") as keyof Modules,
        text: mutated.replaceAll(
          /(?<=from ")\.{1,2}\/[^"]+/g,
          (path) => `${normalize(join(source, dirname(file), path))}`,
        ),
      };
    }),
);

/** The functions that the database has itself, each condition of each taken out in turn. */
const functions = readFileSync(join(repository, "sql/0006_batches.sql"), "utf8").match(
  /create function [\s\S]*?\n\$\$;\n/g,
);
const ofFunctions = (functions ?? []).flatMap((whole) =>
  [...whole.matchAll(/\w+\.tenant_id = tenant\b/g)].map(({ index, 0: found }) => {
    const [, name = ""] = /^create function (\w+)/.exec(whole) ?? [];
    const mutated = `${whole.slice(0, index)}true${whole.slice(index + found.length)}`;
    return { name: `${name}:${whole.slice(0, index).split("\n").length}`, whole, mutated };
  }),
);

/** Has `work` find the function changed. */
async function withFunction<T>(
  db: Database,
  text: string,
  whole: string,
  work: () => Promise<T>,
): Promise<T> {
  const put = (sql: string) =>
    db.system((tx) => tx.unsafe(sql.replace("create function", "create or replace function")).simple());
  await put(text);
  return work().finally(() => put(whole));
}

test("every module with a tenant's queries is tried, and none names its tenant in a way unknown here", () => {
  const tried = [...files.map(({ file }) => basename(file, ".ts")), "limits", "openings"]; // these only call functions
  expect(tried.sort()).toEqual(Object.keys(modules).sort());
  expect(ofFunctions.length).toBeGreaterThan(12);
  expect(mutants.length).toBeGreaterThan(20);
  for (const { file, text } of files) {
    const known = text.replaceAll(condition, "").replaceAll(elsewhere, "");
    expect(known, file).not.toContain("tx.tenantId");
  }
});

/** The attempts on the mutant's module, and on the others as they are. */
async function attemptsWith({ module, text }: Mutant) {
  const path = join(temporaryFolder(), `${module}.ts`);
  writeFileSync(path, text);
  const attempts = attemptsOn({ ...modules, [module]: await import(path) });
  return Object.entries(attempts[module] ?? {}).flatMap(([name, attempt]) =>
    attempt ? [[name, attempt] as const] : [],
  );
}

describe.each(databases)("on %s", (_name, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });

  test.each(mutants.map((mutant) => [mutant.name, mutant] as const))(
    "without the condition of %s no foreign row is found or changed",
    async (name, mutant) => {
      reached.delete(name);
      const prey = await plant(db);
      const before = await rowsOf(db);
      for (const [tried, attempt] of await attemptsWith(mutant)) {
        const outcome = await outcomeOf(db.tenant(newcomer(), (tx) => attempt(tx, prey)));
        expect(nothing, tried).toContain(outcome as string);
      }
      expect(await rowsOf(db)).toEqual(before);
      expect(reached).toContain(name);
    },
  );

  const all = Object.values(attemptsOn(modules)).flatMap((attempts) =>
    Object.entries(attempts).flatMap(([name, attempt]) => (attempt ? [[name, attempt] as const] : [])),
  );

  test.each(ofFunctions.map((mutant) => [mutant.name, mutant] as const))(
    "without the condition of the function %s no foreign row is found or changed",
    async (_name, { whole, mutated }) => {
      const prey = await plant(db);
      const before = await rowsOf(db);
      await withFunction(db, mutated, whole, async () => {
        for (const [tried, attempt] of all) {
          const outcome = await outcomeOf(db.tenant(newcomer(), (tx) => attempt(tx, prey)));
          expect(nothing, tried).toContain(outcome as string);
        }
      });
      expect(await rowsOf(db)).toEqual(before);
    },
  );

  /** Whether an attempt finds or changes something where row-level security is off. */
  async function harms(attempt: Attempt, prey: Prey): Promise<boolean> {
    const undo = new Error("undo");
    let harmed = false;
    await db
      .system(async (tx) => {
        const before = await rowsIn(tx);
        const outcome = await outcomeOf(attempt(as(tx, newcomer()), prey));
        harmed = !nothing.includes(outcome as string) || !Bun.deepEquals(await rowsIn(tx), before);
        throw undo;
      })
      .catch(() => {});
    return harmed;
  }

  test("without row-level security many of those of functions would be, where one condition stands for another", async () => {
    let harmful = 0;
    for (const { whole, mutated } of ofFunctions) {
      const prey = await plant(db);
      harmful += await withFunction(db, mutated, whole, async () => {
        for (const [, attempt] of all) if (await harms(attempt, prey)) return 1;
        return 0;
      });
    }
    expect(harmful).toBeGreaterThan(ofFunctions.length / 3);
  });

  test("without row-level security most of them would be", async () => {
    let harmful = 0;
    for (const mutant of mutants) {
      const prey = await plant(db);
      for (const [, attempt] of await attemptsWith(mutant)) {
        if (!(await harms(attempt, prey))) continue;
        harmful++;
        break;
      }
    }
    expect(harmful).toBeGreaterThan(mutants.length / 2);
  });
});
