// Whether the environment says how requests leave this machine: a proxy, or certificates that are not looked at. Only
// Bun's own `fetch` obeys it.
const names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NODE_TLS_REJECT_UNAUTHORIZED"];

export function setsEgress(environment: Record<string, string | undefined>): boolean {
  return names.some((name) => environment[name] || environment[name.toLowerCase()]);
}
