// The log: one JSON object a line on standard error. Standard output belongs to the person who starts cip.
import pino from "pino";

export const log = pino(
  {
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  },
  pino.destination({ dest: 2, sync: true }),
);
