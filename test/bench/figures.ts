// What was measured, by group, system and figure; each repeat adds one value. Makes the tables that people read.
import { median, type Spread, spread } from "./stats.ts";

export type Table = { title: string; columns: string[]; rows: string[][] };
export type Recorded = { group: string; system: string; figure: string; values: number[] } & Spread;

/** Whom the others are compared with, repeat by repeat of the same run. */
const yardstick = "nginx";

export class Figures {
  readonly #groups = new Map<string, Map<string, Map<string, number[]>>>();

  add(group: string, system: string, values: Record<string, number>): void {
    const systems = this.#groups.getOrInsertComputed(group, () => new Map());
    const figures = systems.getOrInsertComputed(system, () => new Map<string, number[]>());
    for (const [figure, value] of Object.entries(values))
      figures.getOrInsertComputed(figure, () => []).push(value);
  }

  recorded(): Recorded[] {
    return [...this.#groups].flatMap(([group, systems]) =>
      [...systems].flatMap(([system, figures]) =>
        [...figures].map(([figure, values]) => ({ group, system, figure, values, ...spread(values) })),
      ),
    );
  }

  tables(): Table[] {
    return [...this.#groups].map(([title, systems]) => {
      const figures = [...new Set([...systems.values()].flatMap((of) => [...of.keys()]))];
      const [first = ""] = figures;
      const compared = systems.get(yardstick)?.get(first);
      const rows = [...systems].map(([system, of]) => [
        system,
        ...figures.map((figure) => shown(of.get(figure))),
        ...(compared ? [ratio(of.get(first), compared)] : []),
      ]);
      return { title, columns: ["", ...figures, ...(compared ? [`× ${yardstick}`] : [])], rows };
    });
  }
}

/** The median of the ratios, each of two neighbours in time. */
function ratio(values: number[] | undefined, compared: number[]): string {
  const pairs = (values ?? []).flatMap((value, i) => (compared[i] ? [value / compared[i]] : []));
  return pairs.length > 0 ? `${median(pairs).toFixed(2)} ×` : "–";
}

function shown(values: number[] | undefined): string {
  if (!values?.length) return "–";
  const { median, min, max } = spread(values);
  return values.length > 1 ? `${short(median)} (${short(min)}–${short(max)})` : short(median);
}

/** Three digits that count. */
function short(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}
