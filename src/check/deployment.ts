// Looks at the running server from outside, at the address where visitors reach it, and through all that is in between.
import type { Config, Tenant } from "../config/config.ts";
import { proxies } from "./proxies.ts";
import { about, type Result, wordsOf } from "./result.ts";
import { site } from "./site.ts";
import { certificate } from "./tls.ts";
import { type Answer, visit } from "./visit.ts";

const sitesMax = 20;
const handshakeMs = 5_000;

export async function* deployment(
  { instance }: Config,
  tenants: readonly Tenant[],
  version: string,
): AsyncGenerator<Result> {
  const url = addressOf(instance);
  if (!url) return yield about("server").unseen("PORT=0 and no PUBLIC_URL: nobody knows where it listens");
  const secure = url.protocol === "https:";
  if (secure) yield await certificate(url);
  const answers: Answer[] = [];
  for (const path of ["/healthz", "/readyz"]) {
    try {
      const answer = await visit(new URL(path, url));
      answers.push(answer);
      yield answer.status === 200
        ? about(path).ok(`answered by ${url.origin} in ${Math.round(answer.tookMs)} ms`)
        : about(path).fail(`${url.origin} answers ${answer.status}`, "see the log of cip, and of the proxy");
    } catch (error) {
      const where = instance.publicUrl ? "PUBLIC_URL, and that the proxy and cip run" : "that cip runs";
      return yield about(path).fail(`${url.origin}: ${wordsOf(error)}`, `check ${where}`);
    }
  }
  if (secure && !answers[0]?.headers["strict-transport-security"])
    yield about("HSTS").warn(
      "Strict-Transport-Security is gone on the way, or the server has another PUBLIC_URL",
      "have the proxy leave this header alone; restart cip where PUBLIC_URL is new",
    );
  else if (secure) yield about("HSTS").ok(String(answers[0]?.headers["strict-transport-security"]));
  yield* proxies(url, version, instance);
  yield await loader(url);
  for (const tenant of tenants.slice(0, sitesMax)) yield await site(url, tenant);
  const more = tenants.length - sitesMax;
  if (more > 0) yield about("sites").unseen(`${more} more were not looked at; name one to have it looked at`);
  if (tenants[0]) yield await socket(url, tenants[0].id);
}

function addressOf({ publicUrl, host, port }: Config["instance"]): URL | undefined {
  if (publicUrl) return new URL(publicUrl);
  const near = ["0.0.0.0", "::"].includes(host) ? "127.0.0.1" : host;
  return port === 0 ? undefined : new URL(`http://${near.includes(":") ? `[${near}]` : near}:${port}`);
}

async function loader(url: URL): Promise<Result> {
  const { ok, fail } = about("embed.js");
  const remedy = "have the proxy leave what cip answers alone";
  try {
    const { status, headers } = await visit(new URL("/embed.js", url));
    if (status !== 200) return fail(`answered ${status}`, "see that all paths reach cip, unchanged");
    if (!/^text\/javascript\b/.test(headers["content-type"] ?? ""))
      return fail(`comes as ${headers["content-type"] ?? "nothing"}, which browsers do not run`, remedy);
    if (headers["cross-origin-resource-policy"] !== "cross-origin")
      return fail("other sites may not load it: Cross-Origin-Resource-Policy was changed", remedy);
    return ok("loads on other sites");
  } catch (error) {
    return fail(wordsOf(error), "see the log of the proxy");
  }
}

/** The handshake alone: whoever says nothing after it is nobody, and leaves nothing behind. */
async function socket(url: URL, tenantId: string): Promise<Result> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const address = new URL(`/v1/${tenantId}/socket`, url.href.replace(/^http/, "ws"));
  // Bun takes options where the types know a browser's list of protocols only.
  const options = { tls: { rejectUnauthorized: false } } as object as string[];
  const socket = new WebSocket(address, options);
  const timer = setTimeout(() => resolve(false), handshakeMs);
  socket.onopen = () => resolve(true);
  socket.onerror = socket.onclose = () => resolve(false);
  const opened = await promise;
  clearTimeout(timer);
  socket.close();
  const { ok, warn } = about("WebSocket");
  return opened
    ? ok("a connection is taken over")
    : warn(
        "the handshake does not get through; the chat works without, clients of /socket do not",
        "have the proxy pass Upgrade and Connection on (nginx: proxy_http_version 1.1 and both headers)",
      );
}
