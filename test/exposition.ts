// Prometheus' text format read as strictly as it is written: https://prometheus.io/docs/instrumenting/exposition_formats/
import { expect } from "bun:test";

export type Sample = { name: string; labels: Record<string, string>; value: number };
export type Family = { type: string; help: string; samples: Sample[] };

const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)$/;
const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (-?\d[\d.]*(?:e[+-]?\d+)?|[+-]Inf|NaN)$/;
const label = /^([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/;

/** By name. Throws at whatever is not of the format, and at what comes twice. */
export function parse(text: string): Map<string, Family> {
  expect(text.endsWith("\n")).toBe(true);
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let current: (Family & { name: string }) | undefined;
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const [, kind, name = "", rest = ""] = comment.exec(line) ?? [];
    if (kind === "HELP") {
      if (families.has(name)) throw new Error(`${name} comes twice`);
      current = { name, type: "", help: rest, samples: [] };
      families.set(name, current);
    } else if (kind === "TYPE") {
      if (current?.name !== name) throw new Error(`a type without help: ${line}`);
      current.type = rest;
    } else {
      const found = sampleOf(line);
      const suffix =
        current && found.name.startsWith(current.name) ? found.name.slice(current.name.length) : "?";
      const allowed = current?.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
      if (!allowed.includes(suffix)) throw new Error(`not of ${current?.name}: ${line}`);
      const identity = JSON.stringify([found.name, Object.entries(found.labels).sort()]);
      if (seen.has(identity)) throw new Error(`twice: ${line}`);
      seen.add(identity);
      current?.samples.push(found);
    }
  }
  return families;
}

function sampleOf(line: string): Sample {
  const [, name = "", inBraces = "", value = ""] = sample.exec(line) ?? [];
  if (name === "") throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  for (let rest = inBraces; rest !== ""; ) {
    const [whole, key = "", text = ""] = label.exec(rest) ?? [];
    if (whole === undefined) throw new Error(`no label: ${line}`);
    labels[key] = text.replace(/\\(.)/g, (_, escaped) => (escaped === "n" ? "\n" : escaped));
    rest = rest.slice(whole.length);
  }
  return { name, labels, value: Number(value.replace("Inf", "Infinity")) };
}

/** What a family's samples with these labels come to in all; undefined where there are none. */
export function sum(families: Map<string, Family>, name: string, labels: Record<string, string> = {}) {
  const family = families.get(name.replace(/_(bucket|sum|count)$/, "")) ?? families.get(name);
  const found = family?.samples.filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  return found?.length ? found.reduce((total, { value }) => total + value, 0) : undefined;
}
