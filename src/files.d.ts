// Files that are imported as files: the import is the path to it, from source and in the binary.
declare module "*.wasm" {
  const path: string;
  export default path;
}
declare module "*.data" {
  const path: string;
  export default path;
}
