// Every route that needs a caller, from the OpenAPI document, so that no test of them can forget a new one.
import { expect } from "bun:test";
import { call } from "./client.ts";

type Operation = { security?: Record<string, string[]>[]; requestBody?: unknown };
export type Route = { name: string; method: string; path: string } & Operation;

/** What the routes that take a body are sent; a new one has to be named here. */
const bodies: Record<string, (conversationId?: string) => unknown> = {
  "POST /v1/{tenant}/turns": (conversationId) => ({
    message: "What is my cat's name?",
    ...(conversationId && { conversation_id: conversationId }),
  }),
  "PATCH /v1/{tenant}/conversations/{id}": () => ({ title: "Mine now" }),
  "PUT /v1/{tenant}/turns/{id}/feedback": () => ({ rating: "up" }),
};

export async function allRoutes(url: string): Promise<Route[]> {
  const document = (await (await call(url, "GET", "/openapi.json")).json()) as {
    paths: Record<string, Record<string, Operation>>;
  };
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([verb, operation]) => {
      const method = verb.toUpperCase();
      return { name: `${method} ${path}`, method, path, ...operation };
    }),
  );
}

/** Those that need a visitor or the tenant's backend. POST last, for it may make what the others would then find. */
export async function guardedRoutes(url: string): Promise<Route[]> {
  const guarded = (await allRoutes(url)).filter(({ security }) => security);
  expect(guarded.length).toBeGreaterThanOrEqual(8);
  return guarded.sort((a, b) => Number(a.method === "POST") - Number(b.method === "POST"));
}

type Attempt = {
  tenant?: string;
  id?: string;
  conversationId?: string;
  token?: string;
  headers?: Record<string, string>;
  /** Beside what the route needs in its body. */
  more?: object;
};

/** Calls a route as a client would who means well. */
export function tryRoute(url: string, route: Route, attempt: Attempt = {}): Promise<Response> {
  const { tenant = "default", id = "x", conversationId, token, more } = attempt;
  const body = bodies[route.name]?.(conversationId);
  expect(body !== undefined, `${route.name} needs a body in routes.ts`).toBe(route.requestBody !== undefined);
  const path = route.path.replace("{tenant}", tenant).replace("{id}", id);
  const headers = { accept: "application/json", ...attempt.headers };
  return call(url, route.method, path, { token, headers, body: body && { ...body, ...more } });
}
