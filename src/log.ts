// The log: one JSON object a line on standard error. Standard output belongs to the person who starts cip.
import pino from "pino";

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
  pino.destination({ dest: 2, sync: true }),
);
