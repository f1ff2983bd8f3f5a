// What `bun run release` hands to people: it runs, it says what is in it, its checksums hold, and it can be made again.
import { beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import pkg from "../package.json" with { type: "json" };
import { ownTarget, targets } from "../src/build/runtime.ts";
import { leftOut, repository, temporaryFolder, until, untilItExits, within } from "./support.ts";

const system = Object.keys(targets).find((name) => targets[name] === ownTarget()) ?? "";
const other = system === "linux-arm64-musl" ? "linux-x64-musl" : "linux-arm64-musl";
const name = `cip-${pkg.version}-${system}`;

async function command(args: string[], cwd: string, env: Record<string, string> = {}) {
  const child = Bun.spawn(args, { cwd, env: { ...process.env, ...env }, stdout: "pipe", stderr: "pipe" });
  untilItExits(child, child.exited);
  const [stdout, stderr] = await Promise.all(
    [child.stdout, child.stderr].map((stream) => new Response(stream).text()),
  );
  return { status: await child.exited, stdout: stdout ?? "", stderr: stderr ?? "" };
}

const release = (...args: string[]) =>
  command([process.execPath, "src/build/release.ts", ...args], repository, nowhere);
/** No package can be downloaded; what this machine has is enough for a binary of its own kind. */
const nowhere = { BUN_CONFIG_REGISTRY: "http://127.0.0.1:1", BUN_INSTALL_CACHE_DIR: temporaryFolder() };

const outdir = temporaryFolder();
const unpacked = join(temporaryFolder(), name);
let said: Awaited<ReturnType<typeof release>>;

beforeAll(async () => {
  said = await release("--outdir", outdir, other, system);
  const archive = join(outdir, readdirSync(outdir).find((file) => /\.(tar\.gz|zip)$/.test(file)) ?? "");
  const tar = await command(["tar", "-xf", archive], join(unpacked, ".."));
  expect(tar).toEqual({ status: 0, stdout: "", stderr: "" });
}, 300_000);

const read = (file: string) => readFileSync(join(unpacked, file), "utf8");
const bill = () => JSON.parse(readFileSync(join(outdir, `${name}.cdx.json`), "utf8"));
const sha256 = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

describe("a release", () => {
  test("names the system that could not be built, still makes the others, and its exit status says so", () => {
    expect(said.stderr).toBe("");
    expect(said.stdout).toMatch(new RegExp(`^  ${other} +not built: .*@oven/`, "m"));
    expect(said.stdout).toMatch(new RegExp(`^  ${system} +\\d+\\.\\d MB +\\d+\\.\\d s$`, "m"));
    expect(said.stdout).toContain(`\n1 of 2 are in ${outdir}\n`);
    expect(said.status).toBe(1);
    expect(readdirSync(outdir).sort()).toEqual(["SHA256SUMS", `${name}.cdx.json`, `${name}.tar.gz`]);
  });

  test("refuses a system that it does not know, and lists those it does", async () => {
    const before = readdirSync(outdir);
    const { status, stdout, stderr } = await release("--outdir", outdir, "linux-x86");
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toContain("Unknown system 'linux-x86'");
    for (const known of Object.keys(targets)) expect(stderr).toContain(known);
    expect(readdirSync(outdir)).toEqual(before);
  });

  test("has checksums that sha256sum verifies", async () => {
    if (!Bun.which("sha256sum")) return leftOut("the checksums of a release", "no sha256sum");
    const { status, stdout } = await command(["sha256sum", "--check", "--strict", "SHA256SUMS"], outdir);
    expect([status, stdout]).toEqual([0, `${name}.tar.gz: OK\n${name}.cdx.json: OK\n`]);
  });

  test("is an archive whose binary serves pages and has its database, from an empty folder", async () => {
    expect(readdirSync(unpacked).sort()).toEqual(
      [
        ".env.example",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "THIRD_PARTY_LICENSES",
        "cip",
        "deploy",
        "docs",
        "prompts",
        "test",
        ...(process.platform === "linux" ? ["cip.service"] : []),
      ].sort(),
    );
    const env = { PATH: "", PORT: "0" };
    const child = Bun.spawn([join(unpacked, "cip")], {
      cwd: temporaryFolder(),
      env,
      stdout: "pipe",
      stderr: "pipe",
    });
    untilItExits(child, child.exited);
    let banner = "";
    const reading = (async () => {
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) banner += text;
    })();
    const url = await until(() => /http:\/\/localhost:\d+/.exec(banner)?.[0], "the binary listens", 60_000);
    expect(banner).toStartWith(`cip ${pkg.version} `);
    for (const path of ["/readyz", "/default", "/embed.js"])
      expect([path, (await fetch(url + path)).status]).toEqual([path, 200]);
    child.kill("SIGTERM");
    expect(await within(child.exited, "the binary stops", 40_000)).toBe(0);
    await reading;
  });

  test("has what its README and docs lead to", () => {
    for (const paper of ["README.md", ...readdirSync(join(unpacked, "docs")).map((name) => `docs/${name}`)]) {
      const links = [...read(paper).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link = ""]) => link);
      const files = [...read(paper).matchAll(/`(deploy\/[^`]+)`/g)].map(([, path = ""]) => path);
      const paths = [...links.map((link) => join(paper, "..", link)), ...files];
      expect([paper, paths.filter((path) => !existsSync(join(unpacked, path)))]).toEqual([paper, []]);
    }
  });

  test("names errors in its log as the sources do", () => {
    expect(readFileSync(join(unpacked, "cip")).includes("class CipError extends")).toBeTrue();
  });

  test("made again from the same sources is the same, byte for byte", async () => {
    const again = temporaryFolder();
    expect((await release("--outdir", again, system)).status).toBe(0);
    expect(sha256(join(again, "SHA256SUMS"))).toBe(sha256(join(outdir, "SHA256SUMS")));
  }, 300_000);
});

describe("the bill of materials", () => {
  test("is valid CycloneDX 1.6, and of this binary", async () => {
    const text = readFileSync(join(outdir, `${name}.cdx.json`), "utf8");
    const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
    expect(await validator.validate(text)).toBeNull();
    expect(await validator.validate(text.replace('"type": "library"', '"type": "thing"'))).not.toBeNull();
    const { metadata } = bill();
    expect(metadata.component.hashes).toEqual([{ alg: "SHA-256", content: sha256(join(unpacked, "cip")) }]);
    expect(metadata.component).toMatchObject({ name: "cip", version: pkg.version });
  });

  test("has what is bundled, with the checksums of bun.lock, and nothing that only builds or tests", () => {
    const purls = new Map<string, { version: string; licenses: unknown[]; hashes?: unknown[] }>(
      bill().components.map((component: { purl: string }) => [component.purl, component]),
    );
    const { packages } = Bun.JSONC.parse(readFileSync(join(repository, "bun.lock"), "utf8")) as {
      packages: Record<string, unknown[]>;
    };
    for (const [name, version] of Object.entries({
      elysia: pkg.dependencies.elysia,
      marked: pkg.dependencies.marked,
    })) {
      const [, base64 = ""] = String(packages[name]?.at(-1)).split("sha512-");
      const content = Buffer.from(base64, "base64").toString("hex");
      expect(purls.get(`pkg:npm/${name}@${version}`)?.hashes).toEqual([{ alg: "SHA-512", content }]);
    }
    const runtime = purls.get(`pkg:npm/%40oven/${ownTarget()}@${Bun.version}`);
    expect(runtime?.hashes).toEqual([{ alg: "SHA-256", content: sha256(process.execPath) }]);
    expect([...purls.keys()].some((purl) => /^pkg:generic\/postgresql@18\.\d+$/.test(purl))).toBeTrue();
    for (const [purl, { version, licenses, hashes }] of purls) {
      expect([purl, version.length > 0, licenses.length]).toEqual([purl, true, 1]);
      if (purl.startsWith("pkg:npm/")) expect([purl, hashes?.length]).toEqual([purl, 1]);
    }
    for (const dev of ["typescript", "react", "fast-check", "%40biomejs/biome"])
      expect([...purls.keys()].filter((purl) => purl.startsWith(`pkg:npm/${dev}@`))).toEqual([]);
  });

  test("knows what needs what, and the archive has the licence of each", () => {
    const { components, dependencies } = bill();
    const known = new Set<string>(components.map((component: { purl: string }) => component.purl));
    const needed = new Set<string>(
      dependencies.flatMap((each: { dependsOn?: string[] }) => each.dependsOn ?? []),
    );
    // Each part is there because something needs it.
    expect([...needed].sort()).toEqual([...known].sort());
    const licenses = read("THIRD_PARTY_LICENSES");
    for (const { group, name, version } of components)
      expect(licenses).toContain(`\n${group ? `${group}/` : ""}${name} ${version} (`);
    for (const words of ["LIBRARY GENERAL PUBLIC LICENSE", "PostgreSQL Global Development Group"])
      expect(licenses).toContain(words);
  });
});
