// Which methods an address takes: for refusals (RFC 9110, 15.5.5 and 15.5.6), for OPTIONS and for preflights.
import { CipError } from "../errors.ts";

type Routes = readonly { method: string; path: string }[];

/** The path of a request; its address has no host where the request named none. */
export function pathOf(request: Request): string {
  return URL.parse(request.url, "http://localhost")?.pathname ?? "/";
}

/** In the order of the routes; none where there is nothing at this path. */
export function methodsAt(routes: Routes, path: string): string[] {
  const found = declaredAt(routes, path);
  if (found.length === 0) return [];
  const methods = found.flatMap((method) =>
    method === "GET" ? ["GET", "HEAD"] : method === "WS" ? ["GET"] : [method],
  );
  return [...new Set([...methods, "OPTIONS"])];
}

/** No route took the request: is it the address that is unknown, or only the method? */
export function unrouted(routes: Routes, method: string, path: string): CipError {
  const methods = methodsAt(routes, path);
  if (declaredAt(routes, path).includes("WS") && method === "GET")
    return new CipError("bad_request", { detail: "This address takes WebSocket connections only." });
  if (methods.length === 0 || methods.includes(method))
    return new CipError("not_found", { detail: "There is nothing at this address." });
  const allow = methods.join(", ");
  return new CipError("method_not_allowed", { allow, detail: `It takes ${allow}.` });
}

function declaredAt(routes: Routes, path: string): string[] {
  const segments = path.replace(/(.)\/$/, "$1").split("/");
  return routes
    .filter((route) => {
      const pattern = route.path.split("/");
      return (
        pattern.length === segments.length &&
        pattern.every((part, i) => (part.startsWith(":") ? segments[i] !== "" : part === segments[i]))
      );
    })
    .map((route) => route.method);
}
