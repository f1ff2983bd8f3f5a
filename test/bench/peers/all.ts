// The systems that are measured side by side, in the order in which they take turns.
import { cip } from "./cip.ts";
import { direct } from "./direct.ts";
import { express } from "./express.ts";
import { fastapi } from "./fastapi.ts";
import { nginx } from "./nginx.ts";
import { bunServer, type Peer } from "./peer.ts";
import { portkey } from "./portkey.ts";

/** Those that need nothing but what the repository has. */
export const own: Peer[] = [
  direct,
  bunServer("Bun, bytes", "bytes.server.ts"),
  bunServer("Elysia, SDK", "elysia.server.ts"),
  cip,
];

export const all: Peer[] = [...own.slice(0, 2), nginx, ...own.slice(2), express, portkey, fastapi];
