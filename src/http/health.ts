// For load balancers and orchestrators: is the process alive, and should it be given work.
import { Type } from "@sinclair/typebox";
import { Elysia } from "elysia";
import { CipError } from "../errors.ts";
import { open } from "./documented.ts";
import type { Services } from "./services.ts";

const Ok = Type.Object({ status: Type.Literal("ok") });
const ok = { status: "ok" } as const;

const lookMs = 1_000;

export const health = ({ db, runs }: Services) => {
  // The first look is the start's own: it has just been at work on the database, with the migrations done.
  let look: Promise<unknown> | undefined = Promise.resolve();
  const forget = () => setTimeout(() => (look = undefined), lookMs);
  forget();

  /** Anybody may ask, as often as he likes: what one look saw holds for all who ask meanwhile and within a second. */
  function canWork(): Promise<unknown> {
    // The migrations are done before the server listens; the table that only they make is still there.
    look ??= db.system((tx) => tx`select from migrations limit 1`).finally(forget);
    return look;
  }

  return new Elysia()
    .get("/healthz", () => ok, open("Is the process alive?", { 200: ["It is", { "application/json": Ok }] }))
    .get(
      "/readyz",
      async () => {
        if (runs.closing) throw new CipError("shutting_down", { retryAfterSeconds: 5 });
        await canWork();
        return ok;
      },
      open("Should this instance be given work?", { 200: ["It should", { "application/json": Ok }] }, [
        "database_unavailable",
        "shutting_down",
      ]),
    );
};
