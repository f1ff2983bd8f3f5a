// What TypeScript is told of imports that are no modules of its own: files, each of which is the path to it, from source
// and in the binary; and the parts of a package that names the types of the whole only.
declare module "*.wasm" {
  const path: string;
  export default path;
}
declare module "*.data" {
  const path: string;
  export default path;
}
declare module "prom-client/lib/counter" {
  export { Counter as default } from "prom-client";
}
declare module "prom-client/lib/gauge" {
  export { Gauge as default } from "prom-client";
}
declare module "prom-client/lib/histogram" {
  export { Histogram as default } from "prom-client";
}
declare module "prom-client/lib/registry" {
  export { Registry as default } from "prom-client";
}
