// What if a query forgot its tenant? Each condition on tenant_id is taken out of its module in turn, and row-level
// security alone still shows no row of another tenant, nor lets one be changed.
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import type { Database, TenantTx } from "../src/db/db.ts";
import {
  attemptsOn,
  type Modules,
  modules,
  newcomer,
  nothing,
  outcomeOf,
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
/** Where else a tenant's transaction names its tenant: a new row's key, a lock's name, a bucket's, a claim's. */
const elsewhere =
  /(?:values \(|select )\$\{tx\.tenantId\}|`cip \w+ \$\{tx\.tenantId\}|holder\(tx\.tenantId|tenantId: tx\.tenantId/g;

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

test("every module with a tenant's queries is tried, and none names its tenant in a way unknown here", () => {
  expect(files.map(({ file }) => basename(file, ".ts")).sort()).toEqual(Object.keys(modules).sort());
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

  test("without row-level security most of them would be", async () => {
    const undo = new Error("undo");
    let harmful = 0;
    for (const mutant of mutants) {
      const prey = await plant(db);
      for (const [, attempt] of await attemptsWith(mutant)) {
        let harmed = false;
        await db
          .system(async (tx) => {
            const before = await rowsIn(tx);
            const stranger = Object.assign(tx, { tenantId: newcomer() }) as unknown as TenantTx;
            const outcome = await outcomeOf(attempt(stranger, prey));
            harmed = !nothing.includes(outcome as string) || !Bun.deepEquals(await rowsIn(tx), before);
            throw undo;
          })
          .catch(() => {});
        if (!harmed) continue;
        harmful++;
        break;
      }
    }
    expect(harmful).toBeGreaterThan(mutants.length / 2);
  });
});
