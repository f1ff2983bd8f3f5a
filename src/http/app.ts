// The HTTP server put together: routes under /v1/{tenant}, the pages, and one way for everything that goes wrong.
import { type AnyElysia, Elysia } from "elysia";
import { CipError, errors } from "../errors.ts";
import { marksOf, requestIdOf, traceOf } from "../trace.ts";
import { ask } from "./ask.ts";
import { conversationRoutes } from "./conversations.ts";
import { corsHeaders, preflightHeaders } from "./cors.ts";
import { embed } from "./embed.ts";
import { errorPage, wantsPage } from "./errorpage.ts";
import { feedback } from "./feedback.ts";
import { headersOfAll } from "./headers.ts";
import { health } from "./health.ts";
import { methodsAt, pathOf, unrouted } from "./methods.ts";
import { metrics } from "./metrics.ts";
import { mydataRoutes } from "./mydata.ts";
import { openapi } from "./openapi.ts";
import { pages } from "./pages.ts";
import { probe } from "./probe.ts";
import { expected, problem } from "./problem.ts";
import { answered, began } from "./requests.ts";
import { type Services, tenantOf } from "./services.ts";
import { socketBounds, sockets } from "./socket.ts";
import { stalledSeconds } from "./sse.ts";
import { turns } from "./turns.ts";
import { visitors } from "./visitors.ts";

/** `forVisitors`: false where an instance only runs waiting turns, and is asked for nothing but its health. */
export function createApp(services: Services, forVisitors: boolean): AnyElysia {
  const { publicUrl, trustedProxies } = services.config.instance;
  const ofAll = headersOfAll(publicUrl);
  /** What log lines say of a request. */
  const marksOfRequest = (request: Request, requestId: string) => {
    const traceparent = request.headers.get("traceparent") ?? undefined;
    const tenant = services.config.tenants.get(/^\/v1\/([^/]+)\//.exec(pathOf(request))?.[1] ?? "");
    return { ...marksOf(traceOf({ traceparent }, requestId)), ...(tenant && { tenant_id: tenant.id }) };
  };
  const app: AnyElysia = new Elysia({
    normalize: false, // an unknown field is refused, not dropped
    handler: { standardHostname: false }, // or a host's name of three letters would count as part of the path
    websocket: socketBounds,
    serve: {
      // readJson() has the bound and answers as every refusal does; Bun's own would be a bare 413. A body that no
      // route reads is thrown away as it comes.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      // Bun counts it from the end of a request's head, or from when the answer last moved: bytes that come in do not
      // put it off, unless they are a body that is being read. For a head it gives 12 s whatever is set here.
      idleTimeout: stalledSeconds,
      development: false, // or what no handler catches would be shown with its source
      error(error) {
        const requestId = Bun.randomUUIDv7();
        const answer = problem(expected(error, "", { request_id: requestId }), requestId);
        for (const [name, value] of Object.entries(ofAll)) answer.headers.set(name, value);
        return answer;
      },
    },
  })
    .onRequest(({ request, set }) => {
      const path = pathOf(request);
      const [, version, tenantId = ""] = /^\/(v1)\/([^/]+)\//.exec(path) ?? [];
      const tenant = services.config.tenants.get(tenantId);
      // What an answer says itself goes before these.
      Object.assign(set.headers, ofAll, tenant && corsHeaders(tenant, request));
      set.headers["x-request-id"] = requestIdOf(request.headers.get("x-request-id"), trustedProxies);
      began(request);
      checkForm(request);
      if (request.method !== "OPTIONS") return;
      const methods = methodsAt(app.routes, path);
      if (methods.length === 0) return;
      const preflight = version ? preflightHeaders(tenantOf(services, tenantId), request, methods) : {};
      answered(request, "none", 204, marksOfRequest(request, set.headers["x-request-id"]));
      return new Response(null, { status: 204, headers: { allow: methods.join(", "), ...preflight } });
    })
    .onAfterHandle(({ request, response }) => {
      // Elysia would read an answer to its end to tell HEAD its length, and one that is being written takes a while.
      if (request.method !== "HEAD" || !(response instanceof Response)) return;
      const { headers } = response;
      const isStream = headers.get("content-type")?.startsWith("text/event-stream");
      if (!isStream && !headers.has("content-disposition")) return; // what is downloaded is written as it is read
      void response.body?.cancel();
      return new Response(null, response);
    })
    .onAfterResponse(({ request, route, responseValue, set }) => {
      const status = responseValue instanceof Response ? responseValue.status : Number(set.status ?? 200);
      answered(request, route, status, marksOfRequest(request, String(set.headers["x-request-id"])));
    })
    .onError(({ error, code, set, request, route }) => {
      const requestId = String(set.headers["x-request-id"]);
      const marks = marksOfRequest(request, requestId);
      const known = expected(error, code, marks);
      const isUnrouted = known.code === "not_found" && code === "NOT_FOUND";
      const refusal = isUnrouted ? unrouted(app.routes, request.method, pathOf(request)) : known;
      answered(request, route, errors[refusal.code][0], marks);
      return wantsPage(request) ? errorPage(refusal, request, requestId) : problem(refusal, requestId);
    })
    .use((all) => all.use(openapi(all, publicUrl)))
    .use(health(services))
    .use(probe(services))
    .use(metrics(services));
  if (!forVisitors) return app;
  return app
    .use(visitors(services))
    .use(ask(services))
    .use(turns(services))
    .use(sockets(services))
    .use(feedback(services))
    .use(conversationRoutes(services))
    .use(mydataRoutes(services))
    .use(embed(services))
    .use(pages(services));
}

/** What Bun lets through though it is not HTTP, or not the handshake that it says it is. Throws bad_request. */
function checkForm({ url, headers }: Request): void {
  // Without a host that is one, the address stays relative, and of two it has the first; Bun puts a comma between them
  // (RFC 9112, 3.2). HTTP/1.0 may do without.
  const host = headers.get("host");
  if (host !== null && (host.includes(",") || !URL.canParse(url)))
    throw new CipError("bad_request", { detail: "The Host header does not name one host." });
  if (/^websocket$/i.test(headers.get("upgrade") ?? "") && !headers.has("sec-websocket-key"))
    throw new CipError("bad_request", { detail: "The WebSocket handshake is not whole." });
}
