// `cip migrate`: brings the database up to date without serving anybody, or says what that would do.
import { loadInstance } from "../config/config.ts";
import { migrate as apply, type Migration, pending } from "../db/migrate.ts";
import { connect } from "../place.ts";
import type { Given } from "./command.ts";
import { present, using } from "./stored.ts";

export async function run({ flags }: Given): Promise<number> {
  const instance = loadInstance(process.cwd());
  const place = await (flags["dry-run"] ? present(instance) : connect(instance));
  try {
    const missing = await using(instance, () => pending(place.db));
    if (!flags["dry-run"]) await using(instance, () => apply(place.db));
    process.stdout.write(report(missing, flags["dry-run"] ? "Would apply" : "Applied"));
    return 0;
  } finally {
    await place.close();
  }
}

function report(migrations: Migration[], verb: string): string {
  if (migrations.length === 0) return "The database is up to date.\n";
  const lines = migrations.map(({ name, sql }) => `  ${name}: ${/^-- (.*)$/m.exec(sql)?.[1] ?? ""}`);
  return `${verb}:\n${lines.join("\n")}\n`;
}
