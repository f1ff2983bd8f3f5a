// The HTTP server put together: routes under /v1/{tenant}, the pages, and one way for everything that goes wrong.
import { openapi } from "@elysiajs/openapi";
import { type AnyElysia, Elysia } from "elysia";
import pkg from "../../package.json" with { type: "json" };
import { CipError } from "../errors.ts";
import { bodyBytesMax } from "./body.ts";
import { conversationRoutes } from "./conversations.ts";
import { health } from "./health.ts";
import { pages } from "./pages.ts";
import { expected, problem } from "./problem.ts";
import type { Services } from "./services.ts";
import { sockets } from "./socket.ts";
import { stalledSeconds } from "./sse.ts";
import { turns } from "./turns.ts";
import { visitors } from "./visitors.ts";

/** `forVisitors`: false where an instance only runs waiting turns, and is asked for nothing but its health. */
export async function createApp(services: Services, forVisitors: boolean): Promise<AnyElysia> {
  const app: AnyElysia = new Elysia({
    normalize: false, // an unknown field is refused, not dropped
    handler: { standardHostname: false }, // or a host's name of three letters would count as part of the path
    websocket: { maxPayloadLength: bodyBytesMax },
    serve: {
      // readJson() has the bound and answers as every refusal does; Bun's own would be a bare 413. A body that no
      // route reads is thrown away as it comes.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      idleTimeout: stalledSeconds,
    },
  })
    .onRequest(({ set }) => {
      set.headers["x-request-id"] = Bun.randomUUIDv7();
    })
    .onError(({ error, code, set, request }) => {
      const requestId = String(set.headers["x-request-id"]);
      const known = expected(error, code, requestId);
      return problem(
        known.code === "not_found" && code === "NOT_FOUND" ? unrouted(app.routes, request) : known,
        requestId,
      );
    })
    .use(
      openapi({
        path: "/openapi",
        specPath: "/openapi.json",
        provider: null,
        exclude: { paths: ["/openapi.json"] },
        documentation: {
          info: { title: "cip", version: pkg.version, description: pkg.description },
          components: {
            securitySchemes: {
              visitor: { type: "http", scheme: "bearer", description: "From POST /v1/{tenant}/visitors" },
            },
          },
        },
      }),
    )
    .use(health(services));
  if (!forVisitors) return app;
  return app
    .use(visitors(services))
    .use(turns(services))
    .use(sockets(services))
    .use(conversationRoutes(services))
    .use(await pages(services));
}

/** No route took the request: is it the address that is unknown, or only the method? */
function unrouted(routes: readonly { method: string; path: string }[], request: Request): CipError {
  const { pathname } = new URL(request.url);
  const segments = pathname.split("/");
  const methods = routes
    .filter(({ path }) => {
      const pattern = path.split("/");
      return (
        pattern.length === segments.length &&
        pattern.every((part, i) => (part.startsWith(":") ? segments[i] !== "" : part === segments[i]))
      );
    })
    .map((route) => route.method);
  if (methods.length === 0 || pathname === "/")
    return new CipError("not_found", { detail: "There is nothing at this address." });
  if (methods.includes("WS"))
    return new CipError("bad_request", { detail: "This address takes WebSocket connections only." });
  return new CipError("method_not_allowed", { allow: [...new Set(methods)].join(", ") });
}
