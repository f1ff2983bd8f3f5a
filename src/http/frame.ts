// What a client may say over a WebSocket: who it is, then turns to open, to follow and to stop.
import { type Static, Type } from "@sinclair/typebox";
import { type TypeCheck, TypeCompiler } from "@sinclair/typebox/compiler";
import { NewTurn } from "./schemas.ts";

const closed = { additionalProperties: false };
export const refCharsMax = 100;
/** Comes back in the error that a frame caused, and with each chunk of the turn that it opened or followed. */
const ref = Type.Optional(Type.String({ maxLength: refCharsMax }));
const Frame = Type.Union([
  Type.Object({ type: Type.Literal("auth"), token: Type.String(), ref }, closed),
  Type.Object(
    { type: Type.Literal("turn"), ...NewTurn.properties, idempotency_key: Type.Optional(Type.String()), ref },
    closed,
  ),
  Type.Object(
    {
      type: Type.Literal("follow"),
      turn_id: Type.String(),
      after: Type.Optional(Type.Integer({ minimum: 0 })),
      ref,
    },
    closed,
  ),
  Type.Object({ type: Type.Literal("stop"), turn_id: Type.String(), ref }, closed),
]);
export type Frame = Static<typeof Frame>;
/** Compiled for the first frame, not at the start: it takes 4 ms. */
let compiled: TypeCheck<typeof Frame> | undefined;

export function isFrame(given: unknown): given is Frame {
  compiled ??= TypeCompiler.Compile(Frame);
  return compiled.Check(given);
}
