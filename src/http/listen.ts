// Has the routes of an application answer at an address.
import type { AnyElysia } from "elysia";
import { websocket } from "elysia/ws";

/**
 * Elysia's own listen() builds all routes once more as soon as it listens, for plugins that were still being loaded, and
 * then collects garbage. Of the former there are none here, and the first request would wait for both, for 10 ms. Throws
 * what Bun.serve() throws.
 */
export function listen(app: AnyElysia, at: { port: number; hostname: string }): Bun.Server<unknown> {
  app.compile();
  const server = Bun.serve({
    ...app.config.serve,
    ...at,
    reusePort: false, // or a second process could listen on the same port, and take half of the requests
    fetch: app.fetch,
    websocket: { ...app.config.websocket, ...websocket },
  } as Bun.Serve.Options<unknown>);
  app.server = server as NonNullable<typeof app.server>;
  return server;
}
