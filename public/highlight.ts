// Which blocks of code get colours: closed ones in a language known here that are not huge. What colours them is
// loaded with the first such block, and a block without it is as good as one in a language unknown.

import { paced } from "./paced.ts";

// As they are named after a fence; highlighter.ts and grammars.ts know these and their other names.
export const known =
  "bash sh zsh shell console shellsession css diff patch ini toml javascript js jsx mjs cjs json jsonc json5 markdown md python py sql typescript ts tsx mts cts html xml xhtml rss svg plist yaml yml c h cpp c++ cc cxx hpp hh c# cs csharp dart docker dockerfile go golang gql graphql http https java kotlin kt kts lua make makefile mk nginx php powershell ps1 pwsh r ruby rb rust rs scss swift".split(
    " ",
  );
const charsMost = 50_000;
// What is longer was written by a program, and would be thousands of colours in one line.
const longLine = /.{2000}/;

/** Colours the text of a block that has all of it, without changing the text. */
export function highlight(code: HTMLElement, language: string) {
  const name = language.toLowerCase();
  const text = code.textContent;
  if (!known.includes(name) || text.length > charsMost || longLine.test(text)) return;
  import("./highlighter.ts")
    .then(({ colour }) => colour(code, name))
    .then((steps) => paced(() => !steps.next().done))
    .catch(() => {});
}
