// The log: one JSON object a line on standard error, or a line for people where that is a terminal. Standard output
// belongs to the person who starts cip.
import pino from "pino";
import { visibleIn } from "./terminal.ts";

/**
 * Nobody logs these. Should a library hang them on an error, they stay out: what a request carried, and what the
 * database quotes of statements and rows, which may be a visitor's words.
 */
const never = ["headers", "body", "query", "parameters", "detail", "where"];

export const log = pino(
  {
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: {
      paths: ["authorization", "*.authorization", ...never.map((field) => `err.${field}`)],
      censor: "***",
    },
  },
  process.stderr.isTTY ? await forPeople() : pino.destination({ dest: 2, sync: true }),
);

/** In this process, as a stream: the package's usual way is a worker, which finds no file of its own in the binary. */
async function forPeople() {
  const { default: pretty } = await import("pino-pretty"); // loaded only for them: it takes 40 ms
  const lines = pretty({ destination: 2, sync: true, singleLine: true, translateTime: "SYS:HH:MM:ss" });
  return { write: (line: string) => void lines.write(visibleIn(line)) };
}
