// Secrets that are looked for: put where a real one belongs, and never to be found in what a server prints or answers.
import { randomBytes } from "node:crypto";

/** What tells of each canary that was made: every half of it, as it is and in the usual encodings. */
const traces = new Map<string, { plain: string[]; base64: string[] }>();

/** A new secret for `place`: visible ASCII of more than 32 bytes, without what a setting could take for an end. */
export function canary(place: string): string {
  const secret = randomBytes(32).toString("hex");
  watch(place, secret);
  return `canary-${secret}`;
}

/** Looks for `secret` from now on, be it cut to half its length. */
export function watch(place: string, secret: string): void {
  const middle = secret.length / 2;
  const halves = [secret.slice(0, middle), secret.slice(middle)];
  traces.set(place, {
    plain: halves.flatMap((half) => [half, hexOf(half), hexOf(half).replace(/../g, "%$&")]),
    base64: halves.flatMap((half) => [0, 1, 2].map((shift) => base64Of(half, shift))),
  });
}

/** Throws where a canary is in what a server said. Returns it for further use. */
export function silent<T extends string | Uint8Array>(said: T, where: string): T {
  const text = typeof said === "string" ? said : Buffer.from(said).toString("latin1");
  const small = text.toLowerCase();
  for (const [place, { plain, base64 }] of traces)
    if (plain.some((trace) => small.includes(trace)) || base64.some((trace) => text.includes(trace)))
      throw new Error(`the secret of ${place} came out in ${where}:\n${text.slice(0, 5_000)}`);
  return said;
}

const hexOf = (text: string) => Buffer.from(text).toString("hex");

/** The digits that stand for `text` alone, wherever among the bytes before it a group of three begins. */
function base64Of(text: string, shift: number): string {
  const digits = Buffer.from(" ".repeat(shift) + text).toString("base64");
  return digits.slice(Math.ceil((shift * 4) / 3), Math.floor(((shift + text.length) * 4) / 3));
}
