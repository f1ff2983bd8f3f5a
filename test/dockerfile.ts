// Reads the part of the Dockerfile syntax that ours uses, and refuses the rest rather than guess at it.

/** One instruction of a Dockerfile; `words` is a JSON array's strings (`exec`) or the words of a line. */
export type Instruction = { name: string; flags: Record<string, string>; words: string[]; exec: boolean };
export type Stage = { image: string; name: string | undefined; instructions: Instruction[] };

export function parseDockerfile(text: string): Stage[] {
  const stages: Stage[] = [];
  const lines = text
    .replace(/^\s*#.*\n/gm, "")
    .replaceAll("\\\n", " ")
    .split("\n");
  for (const line of lines.filter((line) => line.trim())) {
    const [, name, flagged, rest] = /^([A-Z]+)((?: +--\S+)*) +(\S.*)$/.exec(line) ?? [];
    if (!name || rest === undefined || /<<|\$/.test(line)) throw new Error(`not understood: ${line}`);
    if (name === "FROM") {
      const [image = "", as, stageName] = rest.split(/ +/);
      if (as !== undefined && as !== "AS") throw new Error(`not understood: ${line}`);
      stages.push({ image, name: stageName, instructions: [] });
      continue;
    }
    const exec = rest.includes("[");
    // HEALTHCHECK has a word before its array.
    const words: string[] = exec ? JSON.parse(rest.slice(rest.indexOf("["))) : rest.trim().split(/ +/);
    const flags = flagged?.trim().split(/ +/).filter(Boolean) ?? [];
    const pairs = flags.map((flag) => flag.slice(2).split("=") as [string, string]);
    stages.at(-1)?.instructions.push({ name, flags: Object.fromEntries(pairs), words, exec });
  }
  return stages;
}
