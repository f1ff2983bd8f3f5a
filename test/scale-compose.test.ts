// docker-compose.scale.yml itself; test/scale.test.ts plays what it starts.
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { type Setting, settings } from "../src/config/settings.ts";
import { repository } from "./support.ts";

const read = (path: string) => readFileSync(join(repository, path), "utf8");

type Service = {
  image?: string;
  build?: string;
  command?: string[];
  depends_on?: Record<string, { condition: string }>;
  environment?: Record<string, string | number>;
  secrets?: string[];
  volumes?: string[];
  ports?: string[];
  networks: string[];
  healthcheck?: { test: string[] };
  deploy?: { replicas: number };
  stop_grace_period: string;
};
type Compose = Record<"networks" | "volumes", Record<string, unknown>> & {
  name: string;
  services: Record<string, Service>;
  secrets: Record<string, { file: string }>;
};

describe("docker-compose.scale.yml", () => {
  const compose: Compose = parse(read("docker-compose.scale.yml"), { merge: true });
  const alone: Compose = parse(read("docker-compose.yml"), { merge: true });
  const services = Object.entries(compose.services);
  const cip = services.filter(([, { command }]) => command?.[0] === "--role");
  const ofRole = (role: string) => cip.filter(([, { command }]) => command?.[1] === role);
  const { caddy, pgbouncer, postgres } = compose.services as Record<string, Service>;
  const ini = Object.fromEntries(
    [...read("deploy/pgbouncer/pgbouncer.ini").matchAll(/^(\w+) = (.*)$/gm)].map(([, name, value]) => [
      name,
      value,
    ]),
  );
  const copies = (all: [string, Service][]) =>
    all.reduce((sum, [, { deploy }]) => sum + (deploy?.replicas ?? 1), 0);

  test("starts two that serve visitors and two that run what waits, with settings that there are", () => {
    expect([copies(ofRole("web")), copies(ofRole("worker"))]).toEqual([2, 2]);
    const secrets = Object.entries<Setting>(settings).filter(([, setting]) => setting.secret);
    const settable = [...Object.keys(settings), ...secrets.map(([name]) => `${name}_FILE`)];
    for (const [, { environment, secrets }] of cip) {
      expect(Object.keys(environment ?? {}).filter((name) => !settable.includes(name))).toEqual([]);
      expect(environment?.TRUSTED_PROXIES).toBe(1);
      expect(secrets?.map((secret) => `/run/secrets/${secret}`)).toContain(
        environment?.DATABASE_URL_FILE as string,
      );
    }
  });

  test("lets nobody past Caddy, which knows every web process by its name and port", () => {
    expect(services.filter(([, { ports }]) => ports).map(([name]) => name)).toEqual(["caddy"]);
    const upstreams = ofRole("web").map(([name, { environment }]) => `${name}:${environment?.PORT}`);
    expect(caddy?.environment?.WEB).toBe(upstreams.join(" "));
    expect(caddy?.volumes).toContain("./deploy/Caddyfile:/etc/caddy/Caddyfile:ro");
    expect(read("deploy/Caddyfile")).toContain("reverse_proxy {$WEB} {");
  });

  test("has the pooler between cip and PostgreSQL, with room for all processes and their successors", () => {
    for (const [, { networks }] of cip) expect(networks).not.toContain("database");
    expect(compose.networks.database).toEqual({ internal: true });
    expect(postgres?.networks).toEqual(["database"]);
    expect(pgbouncer?.healthcheck?.test.join(" ")).toContain(`/${ini.listen_port}`);
    expect(pgbouncer?.secrets?.map((secret) => `/run/secrets/${secret}`)).toEqual([ini.auth_file as string]);
    expect(existsSync(join(repository, pgbouncer?.build as string, "Dockerfile"))).toBe(true);
    const clients = 2 * copies(cip) * Number(settings.DATABASE_POOL_SIZE.default);
    expect(Number(ini.max_client_conn)).toBeGreaterThanOrEqual(clients);
    const postgresConnectionsMax = 100; // its default
    expect(Number(ini.default_pool_size)).toBeLessThan(postgresConnectionsMax);
  });

  test("confines and restarts every service, and gives it the time to end", () => {
    const seconds = (service?: Service) => Number.parseInt(service?.stop_grace_period ?? "", 10);
    for (const [, service] of services) {
      expect(service).toMatchObject({
        restart: "unless-stopped",
        read_only: true,
        cap_drop: ["ALL"],
        security_opt: ["no-new-privileges:true"],
      });
      expect(service.image ?? "built:1").toMatch(/^[a-z]+(:\d[\w.-]*)?$|^postgres:18-trixie$|^built:1$/);
    }
    for (const [, service] of cip)
      expect(seconds(service) * 1000).toBeGreaterThan(Number(settings.DRAIN_MS.default));
    const [, graceSeconds] = /grace_period (\d+)s/.exec(read("deploy/Caddyfile")) ?? [];
    expect(seconds(caddy)).toBeGreaterThan(Number(graceSeconds));
  });

  test("waits only for what says when it is healthy, and declares what it uses", () => {
    const image = read("Dockerfile").includes("HEALTHCHECK");
    for (const [name] of services.flatMap(([, { depends_on }]) => Object.entries(depends_on ?? {}))) {
      const service = compose.services[name] as Service;
      expect(service.healthcheck?.test[0] === "CMD" || (image && service.build === "."), name).toBe(true);
    }
    const used = (key: "networks" | "secrets") =>
      new Set(services.flatMap(([, service]) => service[key] ?? []));
    expect(Object.keys(compose.networks).sort()).toEqual([...used("networks")].sort());
    expect(Object.keys(compose.secrets).sort()).toEqual([...used("secrets")].sort());
    for (const [name, { file }] of Object.entries(compose.secrets)) expect(file).toBe(`secrets/${name}`);
    const mounts = services
      .flatMap(([, { volumes }]) => volumes ?? [])
      .map((volume) => volume.split(":")[0] ?? "");
    expect(Object.keys(compose.volumes).sort()).toEqual(
      mounts.filter((mount) => !mount.startsWith("./")).sort(),
    );
  });

  test("goes on with the database and the folders of docker-compose.yml", () => {
    expect(compose.name).toBe(alone.name);
    expect(postgres).toMatchObject({
      image: alone.services.postgres?.image,
      volumes: alone.services.postgres?.volumes,
    });
    for (const [, { volumes }] of cip) expect(volumes).toEqual(alone.services.cip?.volumes as string[]);
  });
});
