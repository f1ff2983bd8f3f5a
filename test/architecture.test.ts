// The shape of src/, held: who may import whom, who may know what, how large a file may be.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { repository } from "./support.ts";

/** From the top down. A file imports from its own layer and those below, never upwards and never in a circle. */
const layers = [
  ["index", "build/*"],
  ["main"],
  ["cli/*"],
  ["check/*", "serve"],
  ["banner", "http/*", "place", "shrink"],
  ["chat/*", "explain", "keep/*"],
  ["identity/*"],
  ["rows/*"],
  ["model/*"],
  ["config/*", "db/*"],
  ["metrics/*"],
  ["assets", "errors", "every", "log", "terminal", "trace", "workshare"],
];

/** What only some files may import, and which. */
const reserved: [what: RegExp, where: RegExp][] = [
  [/^(elysia|@elysiajs\/.*)$/, /^http\//],
  [/^openai($|\/)/, /^model\/request\.ts$/],
  [/^postgres$/, /^db\/(db|batch|server)\.ts$/],
  [/^bun:ffi$/, /^model\/lowwater\.ts$/],
  [/^prom-client($|\/)/, /^metrics\/(metrics|histogram)\.ts$/],
  [/^@electric-sql\/pglite|node_modules\/@electric-sql\/pglite/, /^db\/(embedded|session)\.ts$/],
];

type Source = {
  path: string;
  text: string;
  lines: number;
  /** What the program loads. */
  imports: string[];
  /** The same and what only its types come from. */
  named: string[];
};

const parser = new Bun.Transpiler({ loader: "ts" });
const paths = [...new Bun.Glob("**/*.ts").scanSync(join(repository, "src"))].filter(
  (path) => !path.endsWith(".d.ts"),
);
const sources: Source[] = paths.sort().map((path) => {
  const text = readFileSync(join(repository, "src", path), "utf8");
  const imports = parser.scanImports(text).map((found) => found.path);
  const named = [...imports, ...[...text.matchAll(/\bfrom "([^"]+)"/g)].map((match) => match[1] ?? "")];
  return { path, text, lines: text.trimEnd().split("\n").length, imports, named };
});
const layerOf = (path: string) =>
  layers.findIndex(
    (names) => names.includes(path.replace(/\.ts$/, "")) || names.includes(`${dirname(path)}/*`),
  );
/** The files of src/ that a file loads. Types may point anywhere: they are gone when the program runs. */
const imported = ({ path, imports }: Source) =>
  imports
    .filter((name) => /^\.{1,2}\/.*\.ts$/.test(name))
    .map((name) => normalize(join(dirname(path), name)))
    .filter((name) => !name.startsWith(".."));

test("every file has its layer", () => {
  const homeless = sources.filter(({ path }) => layerOf(path) < 0).map(({ path }) => basename(path, ".ts"));
  expect(homeless, "name these in `layers` of test/architecture.test.ts, where they belong").toEqual([]);
});

test("imports point down, never up", () => {
  const upward = sources.flatMap((source) =>
    imported(source)
      .filter((target) => layerOf(target) >= 0 && layerOf(target) < layerOf(source.path))
      .map((target) => `${source.path} imports ${target}`),
  );
  expect(upward).toEqual([]);
});

function circlesIn(below: Map<string, string[]>): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: string[]) => {
    const start = trail.indexOf(path);
    if (start >= 0) circles.push([...trail.slice(start), path].join(" → "));
    if (start >= 0 || done.has(path)) return;
    for (const target of below.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of below.keys()) visit(path, []);
  return circles;
}

test("imports never run in a circle", () => {
  expect(circlesIn(new Map(sources.map((source) => [source.path, imported(source)])))).toEqual([]);
});

test("nor do those of the page and its loader, be they for a type or for what is loaded late", () => {
  const below = [...new Bun.Glob("*.ts").scanSync(join(repository, "public"))].map((path) => {
    const text = readFileSync(join(repository, "public", path), "utf8");
    const found = [...text.matchAll(/(?:\bfrom |\bimport\()"\.\/([^"]+\.ts)"/g)];
    return [path, found.map((match) => match[1] ?? "")] as const;
  });
  expect(circlesIn(new Map(below))).toEqual([]);
});

test("the framework, the model's SDK and the database drivers are known to one place each", () => {
  const misplaced = sources.flatMap(({ path, named }) =>
    [...new Set(named)]
      .filter((name) => reserved.some(([what, where]) => what.test(name) && !where.test(path)))
      .map((name) => `${path} imports ${name}`),
  );
  expect(misplaced).toEqual([]);
});

test("only config.ts reads the environment of the process, but for one variable of Bun's own in index.ts", () => {
  const readers = sources.filter(({ text }) => /\b(process|Bun|import\.meta)\.env\b/.test(text));
  expect(readers.map(({ path }) => path)).toEqual(["config/config.ts", "index.ts"]);
});

test("every file says first what it is for, and is not too long to read", () => {
  expect(sources.filter(({ text }) => !/^\/\/ \S/.test(text)).map(({ path }) => path)).toEqual([]);
  expect(
    sources.filter(({ lines }) => lines > 250).map(({ path, lines }) => `${path}: ${lines} lines`),
  ).toEqual([]);
});

test("nothing is left for later and no test is left out", () => {
  const files = [...new Bun.Glob("{src,public,test}/**/*.{ts,html,css}").scanSync(repository)];
  const marked = files
    .filter((path) => join(repository, path) !== import.meta.path)
    .filter((path) =>
      /\b(TODO|FIXME)\b|\.(only|skip|todo)\(/.test(readFileSync(join(repository, path), "utf8")),
    );
  expect(marked).toEqual([]);
});
