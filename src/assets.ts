// Where the files that come with cip are: in the repository from source, inside the binary when compiled.
import { basename, join } from "node:path";

const here = import.meta.dir;
const compiled = here.startsWith("/$bunfs/") || here.includes("~BUN");

/** `path` is relative to the repository. The binary carries each folder and file by its last name. */
export function asset(path: "sql" | "prompts" | "dist/public" | "dist/postgres.tar.gz"): string {
  return compiled ? join(here, basename(path)) : join(here, "..", path);
}
