// The short forms of what `bun run soak` does for minutes (test/soak/long.ts).
import { test } from "bun:test";
import { kills } from "./soak/kills.ts";
import { leavers } from "./soak/leavers.ts";
import { terminations } from "./soak/terminations.ts";

test("no turn is lost when instances are killed", () => kills(4_000));
test("no turn is lost or mixed up when the database ends its connections", () => terminations(3_000));
test("visitors who leave cost nothing", () => leavers(2_000));
