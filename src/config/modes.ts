// Whom beside its owner a file that holds a secret is open to. Windows has no modes, so nothing is checked there.
import type { Stats } from "node:fs";

/** `mend` is the command that leaves the file to this process alone. */
export type Exposure = { others: "read" | "write"; mend: string };

/** Where containers find their secrets: mounted by the engine, mostly with the mode 444 whatever was wanted. */
const mounted = /^(\/var)?\/run\/secrets\//;

/** Undefined where nobody else can read or change the file at `path`, which `name` calls it by. */
export function exposureOf(
  path: string,
  name: string,
  { mode, uid }: Pick<Stats, "mode" | "uid">,
  user = process.getuid?.(),
): Exposure | undefined {
  if (user === undefined || mounted.test(path)) return undefined;
  const ours = uid === user || user === 0;
  const write = mode & 0o022;
  // A service may well be given another owner's file by its group.
  const read = mode & 0o004 || (ours && mode & 0o040);
  if (!write && !read) return undefined;
  const file = /^[\w./-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
  return {
    others: write ? "write" : "read",
    mend: `${ours ? "" : `chown ${user} ${file} && `}chmod 600 ${file}`,
  };
}
