// A style sheet that is imported is its text (see build.ts).

declare module "*.css" {
  const text: string;
  export default text;
}
