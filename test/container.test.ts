// What Dockerfile and docker-compose.yml name must exist; test/container.sh builds and runs the image itself.
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { parse } from "yaml";
import { type Setting, settings } from "../src/config/settings.ts";
import { type Instruction, parseDockerfile, type Stage } from "./dockerfile.ts";

const read = (path: string) => readFileSync(join(import.meta.dir, "..", path), "utf8");
const repositoryHas = (path: string) => existsSync(join(import.meta.dir, "..", path));
const manifest = JSON.parse(read("package.json"));
const secrets = Object.entries<Setting>(settings).filter(([, setting]) => setting.secret);
const settable = [...Object.keys(settings), ...secrets.map(([name]) => `${name}_FILE`)];

const stages = parseDockerfile(read("Dockerfile"));
const [build, image] = stages as [Stage, Stage];
const all = (stage: Stage, name: string) => stage.instructions.filter((each) => each.name === name);
const only = (name: string) => {
  const found = all(image, name);
  expect(found).toHaveLength(1);
  return found[0] as Instruction;
};
const workdir = only("WORKDIR").words[0] as string;
const copies = all(image, "COPY").map(({ flags, words }) => ({
  flags,
  source: words[0] as string,
  target: posix.resolve(workdir, words[1] as string),
}));

describe("the Dockerfile", () => {
  test("has a stage that builds and one that runs, each on an image of a fixed version", () => {
    expect(stages.map(({ name }) => name)).toEqual(["build", undefined]);
    for (const stage of stages) expectPinned(stage.image);
  });

  test("builds with the Bun that everything else runs on", () => {
    const [, version] = /oven\/bun:([\d.]+)/.exec(build.image) ?? [];
    expect(read(".ci/run")).toContain(`bun@${version} `);
    expect(manifest.engines.bun).toBe(`>=${version}`);
  });

  test("copies only paths that exist, and .dockerignore lets exactly those through", () => {
    const sources = all(build, "COPY").flatMap(({ words }) => words.slice(0, -1));
    expect(sources.filter((path) => !repositoryHas(path))).toEqual([]);
    const [first, ...rest] = read(".dockerignore")
      .split("\n")
      .filter((line) => line && !line.startsWith("#"));
    expect(first).toBe("*");
    expect(rest.toSorted()).toEqual(sources.map((path) => `!${path}`).toSorted());
  });

  test("runs only commands that exist", () => {
    const commands = all(build, "RUN").map(({ words }) => words);
    expect(commands.length).toBeGreaterThan(0);
    for (const [program, argument = "", ...rest] of commands) {
      if (program === "mkdir") continue;
      expect(program).toBe("bun");
      if (argument === "run") expect(Object.keys(manifest.scripts)).toContain(rest[0] as string);
      else if (argument !== "install") expect(repositoryHas(argument)).toBeTrue();
    }
  });

  test("takes from the first stage only what that stage makes", () => {
    expect(copies.map(({ flags }) => flags.from)).toEqual(copies.map(() => "build"));
    const folders = all(build, "RUN").filter(({ words }) => words[0] === "mkdir");
    const made = [...folders.map(({ words }) => words[1] as string), "/build/dist/cip"];
    expect(all(build, "WORKDIR").map(({ words }) => words)).toEqual([["/build"]]);
    expect(read("src/build/build.ts")).toContain("dist/cip");
    expect(copies.map(({ source }) => source).toSorted()).toEqual(made.toSorted());
  });

  test("starts and checks the binary without a shell", () => {
    const [entrypoint, health] = [only("ENTRYPOINT"), only("HEALTHCHECK")];
    const binary = copies.find(({ source }) => source.endsWith("/cip"))?.target as string;
    expect(entrypoint).toMatchObject({ exec: true, words: [binary] });
    const [program, ...words] = health.words;
    expect([health.exec, program]).toEqual([true, binary]);
    // The real command line: it refuses a word that it does not know with 2, and on port 1 nothing is ready.
    const statusOf = (command: string[]) =>
      Bun.spawnSync([process.execPath, "../src/index.ts", ...command], {
        cwd: import.meta.dir,
        env: { PORT: "1" },
      }).exitCode;
    expect([statusOf(words), statusOf(["no-such-command"])]).toEqual([1, 2]);
  });

  test("runs as a numbered user that is not root and owns the data folder", () => {
    const user = only("USER").words[0] as string;
    expect(user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    const volume = only("VOLUME").words[0] as string;
    expect(volume).toBe(posix.join(workdir, settings.DATA_DIR.default));
    expect(copies.find(({ target }) => target === volume)?.flags.chown).toBe(user);
  });

  test("says the port and what the image is as settings and package.json do", () => {
    expect(only("EXPOSE").words).toEqual([settings.PORT.default]);
    const labels = read("Dockerfile").matchAll(/opencontainers\.image\.(\w+)="([^"]*)"/g);
    expect(Object.fromEntries([...labels].map(([, key, value]) => [key, value]))).toEqual({
      title: manifest.name,
      description: manifest.description,
      licenses: manifest.license,
    });
  });

  test("puts no variable into the image", () => {
    expect(stages.flatMap((stage) => [...all(stage, "ENV"), ...all(stage, "ARG")])).toEqual([]);
  });
});

type Service = {
  image?: string;
  build?: string;
  depends_on?: Record<string, { condition: string }>;
  environment: Record<string, string | number>;
  secrets?: string[];
  volumes: string[];
  ports?: string[];
  healthcheck?: { test: string[] };
  stop_grace_period?: string;
};
type Compose = {
  services: Record<string, Service>;
  volumes: Record<string, null>;
  secrets: Record<string, { file: string }>;
};
const compose: Compose = parse(read("docker-compose.yml"), { merge: true });
const services = Object.entries(compose.services);
const cip = compose.services.cip as Service;

describe("docker-compose.yml", () => {
  test("builds cip from this folder and takes the rest from images of a fixed version", () => {
    for (const [name, service] of services)
      if (name === "cip") expect(service.build).toBe(".");
      else expectPinned(service.image ?? "");
  });

  test("waits only for services that exist and say when they are healthy", () => {
    const awaited = services.flatMap(([, service]) => Object.entries(service.depends_on ?? {}));
    expect(awaited.length).toBeGreaterThan(0);
    for (const [name, { condition }] of awaited) {
      expect(condition).toBe("service_healthy");
      expect(compose.services[name]?.healthcheck?.test[0]).toBe("CMD");
    }
  });

  test("declares the volumes and secrets that are used, and no others", () => {
    const sources = services.flatMap(([, { volumes }]) =>
      volumes.map((volume) => volume.split(":")[0] ?? ""),
    );
    const named = sources.filter((source) => !source.startsWith("./"));
    expect(Object.keys(compose.volumes).toSorted()).toEqual(named.toSorted());
    const granted = services.flatMap(([, service]) => service.secrets ?? []);
    expect(Object.keys(compose.secrets).toSorted()).toEqual(granted.toSorted());
  });

  test("keeps every secret in a file that git ignores", () => {
    expect(read(".gitignore").split("\n")).toContain("/secrets/");
    for (const [name, { file }] of Object.entries(compose.secrets)) expect(file).toBe(`secrets/${name}`);
    for (const [, service] of services)
      for (const [name, value] of Object.entries(service.environment)) {
        expect(name).not.toMatch(/(PASSWORD|KEY|SECRET|URL)$/);
        if (!name.endsWith("_FILE")) continue;
        expect(service.secrets?.map((secret) => `/run/secrets/${secret}`)).toContain(String(value));
      }
  });

  test("gives cip only settings that it has, and its folders where it looks for them", () => {
    expect(Object.keys(cip.environment).filter((name) => !settable.includes(name))).toEqual([]);
    const folders = [settings.TENANTS_DIR.default, posix.dirname(settings.PROMPT_FILE.default)];
    expect(cip.volumes).toEqual(folders.map((folder) => `./${folder}:${workdir}/${folder}:ro`));
    expect(String(cip.environment.PORT)).toBe(settings.PORT.default);
    expect(cip.ports).toEqual([`\${PORT:-${settings.PORT.default}}:${settings.PORT.default}`]);
  });

  test("gives running answers the time to end", () => {
    expect(Number.parseInt(cip.stop_grace_period ?? "", 10) * 1000).toBeGreaterThan(
      Number(settings.DRAIN_MS.default),
    );
  });

  test("confines every service and starts it again", () => {
    const confined = {
      restart: "unless-stopped",
      read_only: true,
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
    };
    for (const [, service] of services) expect(service).toMatchObject(confined);
  });

  test("keeps PostgreSQL 18 where that image stores it", () => {
    expect(compose.services.postgres?.image).toMatch(/^postgres:18-/);
    expect(compose.services.postgres?.volumes).toEqual(["postgres:/var/lib/postgresql"]);
  });
});

/** A name with a version in it; `latest`, or no tag at all, is another image every month. */
function expectPinned(name: string): void {
  expect(name).toMatch(/^[a-z0-9./-]+:[a-z0-9.-]+$/);
  expect(name).not.toEndWith(":latest");
  expect(name).toMatch(/\d/);
}
