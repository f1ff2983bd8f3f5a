// `bun run soak`: for minutes what test/soak.test.ts does for seconds.
import { test } from "bun:test";
import { roundTrip } from "../roundtrip.ts";
import { kills } from "./kills.ts";
import { leavers } from "./leavers.ts";
import { terminations } from "./terminations.ts";

const durationMs = 180_000;
const timeoutMs = durationMs + 120_000;

test("no turn is lost when instances are killed", () => kills(durationMs), timeoutMs);
test(
  "no turn is lost or mixed up when the database ends its connections",
  () => terminations(durationMs),
  timeoutMs,
);
test(
  "100,000 turns go from PGlite to PostgreSQL and out again byte for byte",
  () => roundTrip(100_000, 240_000),
  600_000,
);
test("visitors who leave cost nothing", () => leavers(durationMs), timeoutMs);
