// All payloads, by class: what sanitizers, chats and mail programs have been broken with.
import { addresses } from "./addresses.ts";
import { posing } from "./deceits.ts";
import { foreign } from "./foreign.ts";
import { letters } from "./letters.ts";
import { loads } from "./loads.ts";
import type { Payload } from "./payload.ts";
import { scripts } from "./scripts.ts";
import { shapes } from "./shapes.ts";
import { takeovers } from "./takeovers.ts";

export const corpus: readonly [what: string, payloads: readonly Payload[]][] = [
  ["scripts and handlers", scripts],
  ["addresses", addresses],
  ["what loads", loads],
  ["SVG, MathML and mutations", foreign],
  ["forms, names and redirects", takeovers],
  ["letters", letters],
  ["shapes", shapes],
  ["links that pose as others", posing],
];
