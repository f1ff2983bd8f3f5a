// The documents tell the truth: their tables are the code's, what they name exists, what they show runs.
import { beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { load } from "../src/config/config.ts";
import { type Setting, settings } from "../src/config/settings.ts";
import { errors } from "../src/errors.ts";
import { startServer } from "./server.ts";
import { leftOut, repository, temporaryFolder, untilItExits, within } from "./support.ts";

const read = (path: string) => readFileSync(join(repository, path), "utf8");
const documents = readdirSync(repository).filter((path) => path.endsWith(".md"));
const readme = read("README.md");
const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };

let url: string;
beforeAll(async () => {
  ({ url } = await startServer());
});

/** The fenced blocks of a document whose info string begins with `info`. */
function blocks(text: string, info: string): string[] {
  const fences = text.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm);
  return [...fences].flatMap(([, tag = "", body = ""]) => (`${tag} `.startsWith(`${info} `) ? [body] : []));
}

/** What stands between backticks within a line of prose. */
function codeSpans(text: string): string[] {
  const prose = text.replace(/^```.+\n[\s\S]*?^```$/gm, "");
  return [...prose.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? "");
}

/** A table's rows without the padding that the formatter gives their cells. */
function rowsOf(table: string): string[] {
  const lines = table.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| -"));
  return lines.map((line) => line.replace(/ +\|/g, " |"));
}

/** The block of README.md with that mark, for the server of this test. */
function shown(info: string): string {
  const [text, ...more] = blocks(readme, info);
  if (text === undefined || more.length > 0) throw new Error(`README.md must have one block of ${info}`);
  return text
    .replaceAll("http://localhost:3000", url)
    .replaceAll("ws://localhost:3000", url.replace("http", "ws"));
}

async function output(command: string[]): Promise<string> {
  const child = Bun.spawn(command, {
    cwd: temporaryFolder(),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  untilItExits(child, child.exited);
  const streams = [new Response(child.stdout).text(), new Response(child.stderr).text()];
  const [out, complaints] = await within(Promise.all(streams), command[0] ?? "", 50_000);
  expect(complaints).toBe("");
  expect(await child.exited).toBe(0);
  return out ?? "";
}

test("README.md has every setting, its default and its meaning", () => {
  const groups = Map.groupBy(Object.entries<Setting>(settings), ([, setting]) => setting.group);
  for (const [group, rows] of groups) {
    const expected = rows.map(([name, { default: fallback, help, secret }]) => {
      const code = fallback === undefined ? "" : `\`${fallback}\` `;
      return `| \`${name}\` | ${code}| ${help.replaceAll("<", "&lt;")}${secret ? " (secret)" : ""} |`;
    });
    const section = readme.split(`\n### ${group}\n`)[1]?.split(/\n##/)[0] ?? "";
    expect(rowsOf(section), group).toEqual(["| setting | default | meaning |", ...expected]);
  }
});

test("README.md has every error code with its status", () => {
  const expected = Object.entries(errors).map(
    ([code, [status, title]]) => `| ${status} | \`${code}\` | ${title} |`,
  );
  expect(rowsOf(readme).filter((row) => /^\| \d/.test(row))).toEqual(expected);
});

test("ARCHITECTURE.md names every file of src/ in its room, and no other", () => {
  const rows = [...read("ARCHITECTURE.md").matchAll(/^\| `(\w+\/)` *\|.*\| (.+?) *\|$/gm)];
  const named = rows.flatMap(([, room = "", files = ""]) =>
    codeSpans(files).map((file) => (room === "src/" ? file : `${room}${file}`)),
  );
  const files = [...new Bun.Glob("**/*.ts").scanSync(join(repository, "src"))];
  expect(named.sort()).toEqual(files.filter((file) => !file.endsWith(".d.ts")).sort());
});

test("every link leads somewhere", () => {
  const lost = documents.flatMap((document) => {
    const text = read(document);
    const targets = [...text.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1] ?? "");
    return targets
      .filter((target) => !target.startsWith("https://"))
      .filter((target) => {
        const [path = "", anchor] = target.split("#");
        if (path && !existsSync(join(repository, path))) return true;
        return anchor !== undefined && !anchorsOf(path ? read(path) : text).includes(anchor);
      })
      .map((target) => `${document}: ${target}`);
  });
  expect(lost).toEqual([]);
});

/** As GitHub makes them of headings. */
function anchorsOf(text: string): string[] {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map((match) => match[1] ?? "");
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} -]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test("every file that the documents name is there", () => {
  const homes = ["", "src", ...new Bun.Glob("src/*").scanSync({ cwd: repository, onlyFiles: false })];
  // What a person makes, or a command does, is not in the repository.
  const made = /^(tenants|secrets|data|dist)\/|^prompts\/acme\.md$|…|<|\*/;
  const missing = documents.flatMap((document) =>
    codeSpans(read(document))
      .filter((span) =>
        /^(src|test|sql|public|prompts)\/\S*$|^[\w./-]+\.(ts|sql|md|json|toml|yml|sh)$/.test(span),
      )
      .filter((span) => !made.test(span) && !homes.some((home) => existsSync(join(repository, home, span))))
      .map((span) => `${document}: ${span}`),
  );
  expect(missing).toEqual([]);
});

test("every command that the documents give is there", () => {
  const texts = documents.map(read);
  const commands = texts.flatMap((text) => [...blocks(text, "sh"), ...codeSpans(text)]).join("\n");
  const run = [...commands.matchAll(/\b(?:bun@\S+|bun) (?:run (\S+)|(start)\b)/g)].map(
    (m) => m[1] ?? m[2] ?? "",
  );
  expect(run).toContain("start");
  expect(run.filter((name) => !(name in scripts) && !existsSync(join(repository, name)))).toEqual([]);

  const versions = new Set([...commands.matchAll(/bun@([\d.]+)/g)].map((match) => match[1]));
  expect([...versions]).toEqual([/bun@([\d.]+)/.exec(read(".ci/run"))?.[1]]);

  const main = read("src/main.ts");
  const words = [...commands.matchAll(/(?:^|\n)cip (?:--)?([a-z]+)(?: ([a-z]+))?/g)].flatMap((m) => [
    m[1],
    m[2],
  ]);
  expect(words).toContain("worker");
  expect(words.filter((word) => word !== undefined && !main.includes(word))).toEqual([]);
});

test("every attribute of the snippets is one that the loader knows", () => {
  const loader = read("public/embed.ts");
  const attributes = [...readme.matchAll(/\bdata-([a-z]+)=/g)].map((match) => match[1] ?? "");
  expect([...new Set(attributes)].filter((name) => !new RegExp(`\\b${name}\\b`).test(loader))).toEqual([]);
});

test("the settings that README.md shows are valid as they stand", () => {
  const shownFiles = blocks(readme, "ini");
  expect(shownFiles.length).toBeGreaterThan(5);
  for (const text of shownFiles) {
    const folder = temporaryFolder();
    const write = (path: string, content: string) => {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    };
    const path = /^# (\S+)/.exec(text)?.[1] ?? "";
    const prompt = /^PROMPT_FILE=(.+)$/m.exec(text)?.[1];
    if (prompt) write(prompt, "You are kind.");
    write(path, text);
    const { tenants } = load(folder, {});
    expect(tenants.size, text).toBe(1);
    const [tenant] = tenants.values();
    expect(tenant?.model.demo, text).toBe(!text.includes("LLM_"));
  }
});

test("README.md has every call of the API", async () => {
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Record<string, object> };
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace("/v1/{tenant}", "")}`),
  );
  expect(calls).toContain("POST /turns");
  const named = codeSpans(readme);
  // A WebSocket is no operation of OpenAPI's.
  expect([...calls, "GET /socket"].filter((call) => !named.includes(call.replace(/^WS /, "GET ")))).toEqual(
    [],
  );
});

test("the conversation in README.md goes as it says when it is pasted", async () => {
  if (!Bun.which("curl") || !Bun.which("bash")) {
    leftOut("the conversation in README.md", "curl and bash are needed");
    return;
  }
  const lines = (await output(["bash", "-c", shown("sh conversation")])).split("\n").filter(Boolean);

  const chunks = lines.flatMap((line) => (/^data: \{/.test(line) ? [JSON.parse(line.slice(6))] : []));
  expect(
    chunks.filter(({ type }) => /^(start|finish|abort|error)$/.test(type)).map(({ type }) => type),
  ).toEqual([
    ...["start", "finish"], // watched
    ...["start", "finish"], // read on
  ]);
  const replies = lines.flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
  const [whole, stopped, list, one, renamed] = replies;
  expect(replies).toHaveLength(5);
  expect(whole.turn).toMatchObject({ status: "done", message: "And as JSON?" });
  expect(stopped.turn).toMatchObject({ status: "stopped", message: "Stop me." });
  expect(list.conversations).toHaveLength(3);
  expect(one.turns.map(({ message }: { message: string }) => message)).toEqual([
    "And as JSON?",
    "And later?",
  ]);
  expect(renamed.conversation.title).toBe("A test");
  expect(lines.at(-1)).toBe("204");

  // What was read before leaving and what was read after it are the whole answer, and something was left to read.
  const readOn = chunks.slice(chunks.findLastIndex(({ type }) => type === "start"));
  const rest = readOn.map(({ delta = "" }) => delta).join("");
  expect(rest.length).toBeGreaterThan(0);
  expect(one.turns[1].answer.endsWith(rest)).toBe(true);
});

test("the WebSocket in README.md is answered to the end", async () => {
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
  const { token } = (await (await fetch(`${url}/v1/default/visitors`, init)).json()) as { token: string };
  const script = join(temporaryFolder(), "socket.js");
  writeFileSync(script, `const token = "${token}";\n${shown("js socket")}`);
  const out = await output([process.execPath, script]);
  expect(out).toMatch(/^first .*\bstart\b/s);
  expect(out).toContain('type: "finish"');
});
