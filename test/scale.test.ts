// What docker-compose.scale.yml starts, as processes of this machine with its very Caddyfile and pgbouncer.ini: Caddy, two
// web, two workers, PgBouncer, PostgreSQL.
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { caddy } from "./caddy.ts";
import { type Chunk, drain, sse } from "./client.ts";
import { type Fleet, fleet, settled } from "./fleet.ts";
import { answer } from "./model.ts";
import { pgbouncer } from "./pgbouncer.ts";
import type { Server } from "./server.ts";
import { expectProblem, siteOf } from "./site.ts";
import { leftOut, until, within } from "./support.ts";
import { openSocket } from "./websocket.ts";

type Scene = Fleet & { url: string; webs: [Server, Server]; site: ReturnType<typeof siteOf>; token: string };

describe("through Caddy and PgBouncer", () => {
  let scene: Scene | undefined;
  beforeAll(async () => {
    const ground = await fleet({}, { acme: "", counted: "LIMIT_VISITORS_PER_ADDRESS=2/1h" });
    const pooled = await pgbouncer(ground.databaseUrl);
    if (!pooled) return leftOut("the processes of docker-compose.scale.yml", "pgbouncer is not installed");
    const role = (name: string) => ({
      args: ["--role", name],
      env: { DATABASE_URL: pooled, TRUSTED_PROXIES: "1" },
    });
    const [one, two] = await Promise.all(
      ["web", "web", "worker", "worker"].map((name) => ground.start(role(name))),
    );
    const webs: [Server, Server] = [one as Server, two as Server];
    const url = await caddy(...webs.map((web) => web.url));
    if (!url) return leftOut("the processes of docker-compose.scale.yml", "caddy is not installed");
    const site = siteOf(url, "acme");
    scene = { ...ground, url, webs, site, token: await site.visitor() };
  });
  /** A test of the scene, where there is one. */
  const there = (name: string, play: (scene: Scene) => Promise<unknown>) =>
    test(name, async () => {
      if (scene) await play(scene);
    });

  there("each word is read before the model has said the next", async ({ model, site, token }) => {
    const words = ["One", " two", " three"];
    const gates = words.map(() => Promise.withResolvers<void>());
    model.next([
      ...words.flatMap((text, i) => [{ text }, { hold: gates[i]?.promise as Promise<void> }]),
      ...answer(),
    ]);
    const heard: string[] = [];
    for await (const { data } of sse(await site.stream(token, "Count"))) {
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.type === "text-delta") gates[heard.push(chunk.delta as string) - 1]?.resolve();
    }
    expect(heard).toEqual(words);
  });

  there(
    "what one web process answers the other one lets read, from any place",
    async ({ model, webs, site, token }) => {
      const gate = Promise.withResolvers<void>();
      model.next([{ text: "So far" }, { hold: gate.promise }, ...answer(", so good")]);
      const asked = await siteOf(webs[0].url, "acme").stream(token, "Tell");
      const id = asked.headers.get("location")?.split("/").at(-1) ?? "";
      await site.said(token, id, "So far");
      const readings = [siteOf(webs[1].url, "acme"), site, site].map(async (each) =>
        drain(await each.follow(token, id, "?after=3")),
      );
      gate.resolve();
      for (const reading of await Promise.all([...readings, drain(asked)]))
        expect("So far, so good").toEndWith(reading.text);
      expect((await Promise.all(readings)).map(({ text }) => text)).toEqual(Array(3).fill("far, so good"));
    },
  );

  there("a socket passes, with many turns on it", async ({ url, token }) => {
    const socket = await openSocket(url, token, "acme");
    const asked = ["Hi", "Ho", "Hey"].map((message) => socket.say({ type: "turn", message }));
    const heard = await Promise.all(asked);
    expect(heard.map(({ text }) => text)).toEqual(["echo: Hi", "echo: Ho", "echo: Hey"]);
    socket.close();
  });

  there("what may wait is run by the workers", async ({ site, token, webs, sql }) => {
    const begun = await Promise.all(Array.from({ length: 12 }, (_, i) => site.begin(token, `Later ${i}`)));
    for (const { id } of begun) expect(await settled(site, token, id)).toMatchObject({ status: "done" });
    const rows = await sql<{ instance_id: string }[]>`
      select distinct instance_id from turns where id in ${sql(begun.map(({ id }) => id))}`;
    const ofWebs = webs.map(({ cwd }) => readFileSync(join(cwd, "data/instance"), "utf8").trim());
    for (const { instance_id } of rows) expect(ofWebs).not.toContain(instance_id);
  });

  there("visitors are told apart by their address, which they cannot choose", async ({ url }) => {
    const visit = (localAddress: string, claimed: string) => {
      const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
      const headers = { "content-type": "application/json", "x-forwarded-for": claimed };
      request(`${url}/v1/counted/visitors`, { method: "POST", localAddress, headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on("error", reject)
        .end("{}");
      return promise;
    };
    const statuses: unknown[] = [];
    for (const i of [1, 2, 3]) statuses.push(await visit("127.0.0.1", `203.0.113.${i}`));
    statuses.push(await visit("127.0.0.2", "203.0.113.1"));
    expect(statuses).toEqual([201, 201, 429, 201]);
  });

  there("a visitor does not choose the id that the log knows a request by", async ({ site, token }) => {
    const headers = { "x-request-id": "chosen-by-a-visitor" };
    const response = await site.on("GET", "/conversations", { token, headers });
    expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  there("a reader who leaves gives his place back at once", async ({ model, start, databaseUrl }) => {
    const only = await start({
      env: { TRUSTED_PROXIES: "1", CONNECTIONS_PER_VISITOR_MAX: "1", DATABASE_URL: databaseUrl },
    });
    const site = siteOf((await caddy(only.url)) as string, "acme");
    const token = await site.visitor();
    model.next([{ text: "Long" }, { hold: new Promise(() => {}) }]);
    const leaving = new AbortController();
    const body = { message: "Tell me" };
    const headers = { accept: "text/event-stream" };
    const asked = await site.on("POST", "/turns", { token, body, headers, signal: leaving.signal });
    const id = asked.headers.get("location")?.split("/").at(-1) ?? "";
    await expectProblem(site.follow(token, id), 429, "too_many_requests");
    leaving.abort();
    // Sooner than the next heartbeat, which would fail and show it, too.
    const again = await until(
      async () => {
        const response = await site.follow(token, id);
        return response.ok ? response : void (await response.body?.cancel());
      },
      "the place is free",
      8_000,
    );
    await again.body?.cancel();
    only.kill("SIGKILL");
  });

  there(
    "the readers of a web process that is killed read on through the other",
    async ({ model, site, token, webs }) => {
      const gate = Promise.withResolvers<void>();
      model.next([{ text: "Half" }, { hold: gate.promise }, ...answer(" and half")]);
      const { id } = await site.begin(token, "Tell"); // a worker answers it
      await site.said(token, id, "Half");
      /** Reads to the end, over as many connections as that takes. */
      const readOn = async (first: Response) => {
        const reading = { text: "", connections: 0 };
        let after = "";
        for (let response: Response | undefined = first; ; ) {
          try {
            reading.connections++;
            for await (const { id: offset, data } of sse(
              response ?? (await site.follow(token, id, `?after=${after}`)),
            )) {
              if (data === "[DONE]") return reading;
              const chunk = JSON.parse(data) as Chunk;
              if (chunk.type === "text-delta") reading.text += chunk.delta;
              after = offset ?? after;
            }
          } catch {
            // The connection broke.
          }
          response = undefined;
        }
      };
      // Each goes where the fewest are open: one reads from the process that dies.
      const first = [await site.follow(token, id), await site.follow(token, id)];
      const readings = first.map(readOn);
      webs[0].kill("SIGKILL");
      await webs[0].exited;
      expect((await site.ask(token, "Anybody there?")).status).toBe("done");
      gate.resolve();
      const read = await within(Promise.all(readings), "both read to the end");
      expect(read.map(({ text }) => text)).toEqual(Array(2).fill("Half and half"));
      expect(Math.max(...read.map(({ connections }) => connections))).toBeGreaterThan(1);
    },
  );
});
