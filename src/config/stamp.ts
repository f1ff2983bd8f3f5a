// How a file is known to be another one than before without reading it.
import { lstatSync, type Stats, statSync } from "node:fs";
import { lstat, stat } from "node:fs/promises";

/** Equal for as long as nobody has touched the file. It follows links, so a link to another file is another stamp. */
export type Stamp = string;

/** There is no entry of that name. */
export const absent: Stamp = "absent";
const dangling: Stamp = "a link that leads nowhere";

export function stampOf(path: string): Stamp {
  try {
    return written(statSync(path));
  } catch (error) {
    if (codeOf(error) !== "ENOENT") return codeOf(error);
    return lstatSync(path, { throwIfNoEntry: false }) ? dangling : absent;
  }
}

/** The same without blocking: the file may be on a mount whose server does not answer. */
export async function lookAt(path: string): Promise<Stamp> {
  try {
    return written(await stat(path));
  } catch (error) {
    if (codeOf(error) !== "ENOENT") return codeOf(error);
    return lstat(path).then(
      () => dangling,
      () => absent,
    );
  }
}

/** Which folder it is: of another device or inode it is another one, as where a volume was mounted. */
export async function identityOf(folder: string): Promise<string> {
  const { dev, ino } = await stat(folder);
  return `${dev}:${ino}`;
}

/** The time of the change of the inode is the one that no program sets back. */
function written({ dev, ino, size, mtimeMs, ctimeMs }: Stats): Stamp {
  return `${dev}:${ino}:${size}:${mtimeMs}:${ctimeMs}`;
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
