// Starts cip with room for its requests: Bun makes some 500 at once and queues the rest without a word, and reads the
// setting that raises this only when a process begins (measured on 1.4.5; setting it later changes nothing).
const limit = "BUN_CONFIG_MAX_HTTP_REQUESTS";

if (process.env[limit] === undefined && process.platform !== "win32") {
  const compiled = import.meta.path.startsWith("/$bunfs/");
  const args = compiled ? process.argv.slice(2) : [...process.execArgv, ...process.argv.slice(1)];
  // The same process, begun again within a few ms: process id, terminal and signals stay as they are.
  try {
    process.execve?.(process.execPath, [process.execPath, ...args], { ...process.env, [limit]: "65535" });
  } catch {
    // Where it may not, or its file was replaced meanwhile, it goes on as it is, with room for fewer requests.
  }
}

await import("./main.ts");

export {};
