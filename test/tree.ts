// The next release as it will be some day: these sources, with more in sql/.
import { cpSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repository, temporaryFolder } from "./support.ts";

/** `migrations`: text by name. Gives the folder of its sources. */
export function nextRelease(migrations: Record<string, string>): string {
  const tree = temporaryFolder();
  for (const part of ["src", "sql", "prompts", "public", "package.json", "bunfig.toml", "tsconfig.json"])
    cpSync(join(repository, part), join(tree, part), { recursive: true });
  for (const part of ["node_modules", "dist"]) symlinkSync(join(repository, part), join(tree, part));
  for (const [name, text] of Object.entries(migrations)) writeFileSync(join(tree, "sql", name), text);
  return tree;
}
