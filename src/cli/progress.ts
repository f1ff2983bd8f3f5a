// How far a long command is: one line of a terminal that is written over and wiped at the end. Elsewhere nothing.
const periodMs = 200;
const barChars = 24;

export type Progress = { show(share: number | undefined, words: string): void; end(): void };

/** `share`: from 0 to 1, or undefined where nobody knows how much there is. */
export function progress(): Progress {
  const { stderr } = process;
  if (!stderr.isTTY) return { show() {}, end() {} };
  let dueMs = performance.now() + periodMs;
  return {
    show(share, words) {
      if (performance.now() < dueMs) return;
      dueMs = performance.now() + periodMs;
      const done = Math.min(share ?? 0, 1);
      const bar = "█".repeat(Math.round(done * barChars)).padEnd(barChars, "░");
      const line = share === undefined ? words : `${bar} ${Math.floor(done * 100)} %  ${words}`;
      stderr.write(`\r\x1b[K${line.slice(0, (stderr.columns || 80) - 1)}`);
    },
    end: () => void stderr.write("\r\x1b[K"),
  };
}
