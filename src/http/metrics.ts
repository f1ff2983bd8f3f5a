// GET /metrics: what Prometheus scrapes, for whoever has METRICS_TOKEN; without one there is nothing at this address.
import { createHash, timingSafeEqual } from "node:crypto";
import { Elysia } from "elysia";
import { CipError } from "../errors.ts";
import { contentType, exposition, turnsRunning } from "../metrics/metrics.ts";
import { takeVitals } from "../metrics/vitals.ts";
import { Census } from "../rows/census.ts";
import { bearerOf, type Services } from "./services.ts";

export const metrics = ({ config, db, runs }: Services) => {
  const { metricsToken } = config.instance;
  if (metricsToken === undefined) return new Elysia();
  const wanted = digest(metricsToken.reveal());
  const census = new Census(db, config);

  return new Elysia().get(
    "/metrics",
    async ({ headers }) => {
      if (!timingSafeEqual(digest(bearerOf(headers) ?? ""), wanted))
        throw new CipError("unauthorized", { detail: "Send Authorization: Bearer with the METRICS_TOKEN." });
      await census.take();
      takeVitals();
      turnsRunning.set(runs.size);
      return new Response(await exposition(), { headers: { "content-type": contentType } });
    },
    { detail: { hide: true } }, // it is the operator's, not of the sites' API
  );
};

/** Of the same length whatever the text, as the comparison needs it. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
