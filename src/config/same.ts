// Whether two values of the configuration say the same, secrets included, into which no comparison of others can see.
import { Secret } from "./secret.ts";

/** Of plain data: objects, lists, bytes, secrets and what has no parts. */
export function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Secret || b instanceof Secret)
    return a instanceof Secret && b instanceof Secret && a.reveal() === b.reveal();
  if (a instanceof Uint8Array || b instanceof Uint8Array) return Bun.deepEquals(a, b);
  const [names, others] = [Object.keys(a), Object.keys(b)];
  const inA = a as Record<string, unknown>;
  const inB = b as Record<string, unknown>;
  return names.length === others.length && names.every((name) => name in inB && same(inA[name], inB[name]));
}
