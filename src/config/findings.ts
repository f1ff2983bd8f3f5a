// What the reading of settings comes upon: what is wrong, what is only unwise, and which files it looked at.
import type { Notes, Problem } from "./sources.ts";

type Exposed = { name: string; mend: string };

/** `paths`: absolute; those that were looked for in vain are among them. */
export type Found = {
  problems: readonly Problem[];
  warnings: readonly string[];
  exposed: readonly Exposed[];
  paths: readonly string[];
};

/** Its message lists every problem, one a line, without the value of any setting. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";

  constructor(readonly problems: readonly Problem[]) {
    super(
      ["The configuration does not hold together:", ...problems.map((one) => `  ${inWords(one)}`)].join("\n"),
    );
  }
}

export function inWords({ file, name, remedy }: Problem): string {
  return `${file}: ${name && `${name} `}${remedy}`;
}

/** Takes notes while something is read. */
export class Findings implements Notes {
  readonly problems: Problem[] = [];
  readonly warnings: string[] = [];
  readonly exposures: Exposed[] = [];
  readonly #paths = new Set<string>();

  /** `looksAt` is called before the first look at each path. */
  constructor(private readonly looksAt: (path: string) => void = () => {}) {}

  report = (file: string, name: string, remedy: string) => void this.problems.push({ file, name, remedy });
  warn = (warning: string) => void this.warnings.push(warning);
  exposed = (name: string, mend: string) => void this.exposures.push({ name, mend });
  uses = (path: string) => {
    if (this.#paths.has(path)) return;
    this.#paths.add(path);
    this.looksAt(path);
  };

  /** What was found, without what only the reading needs. */
  get found(): Found {
    const { problems, warnings, exposures } = this;
    return { problems, warnings, exposed: exposures, paths: [...this.#paths] };
  }
}

/** Each problem once: tenants that inherit a mistake share it. */
export function problemsOf(all: Iterable<Found>): Map<string, Problem> {
  const problems = new Map<string, Problem>();
  for (const found of all) for (const problem of found.problems) problems.set(inWords(problem), problem);
  return problems;
}

const exposedShownMax = 5;

/** One line each, and each once. */
export function warningsOf(all: Iterable<Found>): string[] {
  const warnings = new Set<string>();
  const exposures = new Map<string, string>();
  for (const found of all) {
    for (const warning of found.warnings) warnings.add(warning);
    for (const { name, mend } of found.exposed) exposures.set(name, mend);
  }
  const exposed = [...exposures].map(
    ([name, mend]) => `${name} holds a secret that others can read; run: ${mend}`,
  );
  const more = exposed.splice(exposedShownMax).length;
  if (more > 0) exposed.push(`${more} more such files hold secrets that others can read`);
  return [...exposed, ...warnings];
}

/** What there is to say at the moment, so that what was said before is not said again. */
export class Board {
  #problems = new Map<string, Problem>();
  #warnings = new Set<string>();

  get problems(): Problem[] {
    return [...this.#problems.values()];
  }

  get warnings(): string[] {
    return [...this.#warnings];
  }

  /** Puts this in place of what there was, and returns what is new in it. */
  news(all: readonly Found[]): { problems: Problem[]; warnings: string[] } {
    const [problems, warnings] = [problemsOf(all), new Set(warningsOf(all))];
    const fresh = {
      problems: [...problems].filter(([words]) => !this.#problems.has(words)).map(([, problem]) => problem),
      warnings: [...warnings].filter((warning) => !this.#warnings.has(warning)),
    };
    this.#problems = problems;
    this.#warnings = warnings;
    return fresh;
  }
}
