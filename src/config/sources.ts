// Reads what sets settings (a file or the process environment) into checked values; no value reaches a problem.
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats, statSync } from "node:fs";
import { resolve } from "node:path";
import { parseEnv } from "node:util";
import { exposureOf } from "./modes.ts";
import { type Name, type Setting, settings, type Values } from "./settings.ts";
import { Wrong } from "./values.ts";

/** `name` is empty when the problem is the file itself. */
export type Problem = { file: string; name: string; remedy: string };
export type Report = (file: string, name: string, remedy: string) => void;

/** What is wrong ends the start; what is only unwise is said there. */
export type Notes = {
  report: Report;
  warn(warning: string): void;
  /** The file `name` holds a secret and is open to others until the command `mend` is run. */
  exposed(name: string, mend: string): void;
  /** What is read depends on the file at this absolute path, be it there or not. */
  uses(path: string): void;
};

/** How a source sets something: the text, `***` where it is a secret, and the file that it names for it. */
export type Given = { text: string; secretFile?: string };

/** `given` is what the source sets, `values` holds those of them that are valid. */
export type Source = { file: string; given: ReadonlyMap<Name, Given>; values: Partial<Values> };

export const nothing: Source = { file: "", given: new Map(), values: {} };

/** What every tenant starts from: the values of the instance, and who gave them, the strongest first. */
export type Ground = { cwd: string; values: Values; sources: readonly Source[] };
export type Base = Ground & Notes;

/** One tenant's file over the base. `giver` is the file that sets a name, undefined when none does. */
export type Layers = { values: Values; base: Base; own: Source; giver(name: Name): string | undefined };

type Texts = Record<string, string | undefined>;

/** Each name that a source may use, secrets also as NAME_FILE. */
const names = new Map<string, { name: Name; inFile: boolean }>();
for (const name of Object.keys(settings) as Name[]) {
  names.set(name, { name, inFile: false });
  if (settings[name].secret) names.set(`${name}_FILE`, { name, inFile: true });
}

/** Reads `.env`, or a tenant's file when `scope` says so. `file` is relative to `cwd` and may be absent. */
export function readEnvFile(cwd: string, file: string, scope: Setting["scope"], notes: Notes): Source {
  const { report } = notes;
  const path = resolve(cwd, file);
  notes.uses(path);
  const content = read(path);
  if (content === undefined || content instanceof Wrong) {
    // A tenant's file was seen in its folder.
    if (content !== undefined) report(file, "", content.remedy);
    else if (scope === "tenant") report(file, "", "is a link that leads nowhere; mend or remove it");
    return { ...nothing, file };
  }
  const texts = parseEnv(content.text);
  reportIgnoredLines(content.text, texts, (name, remedy) => report(file, name, remedy));
  for (const key of Object.keys(texts)) {
    const known = names.get(key);
    if (!known) reportUnknown(file, key, report);
    else if (scope === "tenant" && settings[known.name].scope === "instance" && texts[key]) {
      report(file, key, "belongs to the whole instance; set it in .env");
      delete texts[key];
    }
  }
  const exposure = exposureOf(path, file, content.stats);
  const secret = Object.keys(texts).some((key) => isSecret(key) && texts[key]?.trim());
  if (secret && exposure) notes.exposed(file, exposure.mend);
  return check(cwd, file, texts, notes);
}

/** Whether the value of this name is itself the secret, not the file that it is in. */
function isSecret(key: string): boolean {
  const known = names.get(key);
  return known !== undefined && !known.inFile && settings[known.name].secret;
}

/** A name this long that is nearly one of ours is no other program's, as API_KEY and LOGLEVEL may be. */
const tellingChars = 10;

/** Reads the process environment, where most names are other programs' and only near misses are told. */
export function readEnvironment(cwd: string, environment: Texts, notes: Notes): Source {
  for (const key of Object.keys(environment)) {
    const telling = /^(LLM_|UI_|IDENTI|LEASE_|DRAIN_)/.test(key) || key.length >= tellingChars;
    if (telling && !names.has(key) && nearest(key)) reportUnknown("environment", key, notes.report);
  }
  return check(cwd, "environment", environment, notes);
}

type Read = { text: string; stats: Stats };

/** A file and its mode: that of the very file that is read, whatever its name leads to a moment later. */
function read(path: string): Read | undefined | Wrong {
  return found(() => {
    const file = openSync(path, readable);
    try {
      const stats = fstatSync(file);
      return { stats, text: textOf(file, stats) };
    } finally {
      closeSync(file);
    }
  });
}

/** A named pipe that nobody writes to is opened at once, and not waited for. */
const readable = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
const bytesMax = 1024 * 1024;

/** UTF-8 without its byte order mark. What might never end, or hold up everybody, is not read. */
function textOf(file: string | number, stats: Stats): string {
  if (stats.isDirectory()) throw folder;
  if (!stats.isFile()) throw new Wrong("is a pipe or a device; it must be a file");
  if (stats.size > bytesMax) throw new Wrong("is larger than 1 MiB");
  return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(file));
}

const folder = new Wrong("is a folder; it must be a file");

/** What `look` reads; undefined when there is no such file. */
function found<T>(look: () => T): T | undefined | Wrong {
  try {
    return look();
  } catch (error) {
    if (error instanceof Wrong) return error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    if (error instanceof TypeError) return new Wrong("must be saved as UTF-8");
    return new Wrong(`cannot be read (${code}); check its owner and permissions`);
  }
}

/**
 * The text of a file that a setting names; what is wrong with it is worded to follow that setting's name. The
 * path stays out of it: people do put the secret itself where its file belongs.
 */
export function readRequired(path: string): string | Wrong {
  // By its name: those that are part of the binary cannot be opened.
  const text = named(found(() => textOf(path, statSync(path))));
  return text instanceof Wrong || text.trim() ? text : empty;
}

const empty = new Wrong("names a file that is empty");

function named<T>(content: T | undefined | Wrong): T | Wrong {
  if (content === undefined) return new Wrong("names a file that does not exist");
  if (content === folder) return new Wrong("names a folder; it must be a file");
  return content instanceof Wrong ? new Wrong(`names a file that ${content.remedy}`) : content;
}

/** The text of a secret's own file, which nobody else may be able to change. */
function readSecret(cwd: string, name: string, notes: Notes): string | Wrong {
  const path = resolve(cwd, name);
  notes.uses(path);
  const content = named(read(path));
  if (content instanceof Wrong) return content;
  if (!content.text.trim()) return empty;
  const exposure = exposureOf(path, name, content.stats);
  if (exposure?.others === "write")
    return new Wrong("names a file that others can change; give it the mode 600");
  if (exposure) notes.exposed(name, exposure.mend);
  return content.text;
}

function check(cwd: string, file: string, texts: Texts, notes: Notes): Source {
  const given = new Map<Name, Given>();
  const values: Record<string, unknown> = {};
  for (const [key, { name, inFile }] of names) {
    const text = texts[key]?.trim();
    if (!text) continue;
    if (given.has(name)) {
      notes.report(file, key, `must not be set together with ${name}; remove one of them`);
      continue;
    }
    given.set(name, {
      text: settings[name].secret ? "***" : text,
      ...(inFile && { secretFile: text }),
    });
    const content = inFile ? readSecret(cwd, text, notes) : text;
    const value = content instanceof Wrong ? content : settings[name].parse(content.trim());
    if (value instanceof Wrong) notes.report(file, key, value.remedy);
    else values[name] = value;
  }
  return { file, given, values: values as Partial<Values> };
}

/** `parseEnv` passes over what it does not understand, as `PORT 3000`, and cuts a value at `#`; here that is a problem. */
function reportIgnoredLines(
  content: string,
  texts: Texts,
  report: (name: string, remedy: string) => void,
): void {
  // In a value of several lines any line is right, and where it ends only the parser knows.
  if (Object.values(texts).some((text) => text?.includes("\n"))) return;
  for (const [index, line] of content.split(/\r\n|\r|\n/).entries()) {
    if (!/^\s*(#|$|[^=]*=)/.test(line)) report("", `must hold NAME=value in line ${index + 1}`);
    const [, name = "", value = ""] = /^\s*(?:export\s+)?(\w+)\s*=(?!\s*["'`])(.*)$/.exec(line) ?? [];
    // A comment has space before it.
    if (names.has(name) && value.split(/\s#/, 1)[0]?.includes("#")) {
      report(name, "holds a # that would begin a comment; put the value in quotation marks");
      delete texts[name];
    }
  }
}

function reportUnknown(file: string, key: string, report: Report): void {
  const near = nearest(key);
  // The second line of a wrapped secret looks like a name too, but not one all in capitals or small letters.
  const name = /^([A-Z0-9_]+|[a-z0-9_]+)$/.test(key) ? key : "";
  const remedy = `${name ? "is" : "holds a name that is"} no setting of cip`;
  report(file, name, near ? `${remedy}; did you mean ${near}?` : `${remedy}; remove it`);
}

const editsMax = 2;

function nearest(key: string): string | undefined {
  const alike = [...names.keys()].filter((name) => Math.abs(name.length - key.length) <= editsMax);
  const distances = alike.map((name) => ({ name, edits: distance(key.toUpperCase(), name) }));
  return distances.filter(({ edits }) => edits <= editsMax).sort((a, b) => a.edits - b.edits)[0]?.name;
}

/** Levenshtein distance, one row of the matrix at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const replaced = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
