// GET /openapi.json: what the API takes and gives, put together from its routes when somebody first asks.
import { type AnyElysia, Elysia } from "elysia";
import pkg from "../../package.json" with { type: "json" };

const version = "3.1.2";

/** The routes of `app` as they are when it is asked. `publicUrl`: where visitors reach it, as far as that is known. */
export const openapi = (app: AnyElysia, publicUrl: string | undefined) => {
  let document: Promise<object> | undefined;

  async function describe() {
    const { toOpenAPISchema } = await import("@elysiajs/openapi/openapi"); // no part of a start: it takes 3 ms
    const { paths, components } = toOpenAPISchema(app, undefined, undefined, undefined, version);
    return {
      info: { title: "cip", version: pkg.version, description: pkg.description },
      ...(publicUrl && { servers: [{ url: publicUrl }] }),
      components: {
        securitySchemes: {
          visitor: { type: "http", scheme: "bearer", description: "From POST /v1/{tenant}/visitors" },
          backend: { type: "http", scheme: "bearer", description: "One of the site's API_KEYS" },
        },
        ...components,
      },
      openapi: version,
      paths,
    };
  }

  return new Elysia().get("/openapi.json", () => (document ??= describe()), { detail: { hide: true } });
};
