// The fonts of the test browser: those of packages and no others, so that every machine draws the same letters and
// none of the chat's languages is drawn as boxes.
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repository, temporaryFolder } from "./support.ts";

const folders = [
  "cousine/400Regular",
  "cousine/700Bold",
  "gelasio/400Regular",
  "gelasio/400Regular_Italic",
  "gelasio/700Bold",
  "kosugi",
  "noto-sans-arabic/400Regular",
  "noto-sans-arabic/700Bold",
  "noto-sans-math/400Regular",
  "zcool-xiaowei/400Regular",
];

/** What a style asks for, and what it is drawn with. */
const families = {
  "sans-serif": "Open Sans",
  Arial: "Open Sans",
  Helvetica: "Open Sans",
  serif: "Gelasio",
  "Times New Roman": "Gelasio",
  Georgia: "Gelasio",
  monospace: "Cousine",
  math: "Noto Sans Math",
};

/** Writes the configuration (fontconfig's) and gives its path; `latin` is the folder of the browser's own font. */
export function fontsConfiguration(latin: string): string {
  const cache = join(repository, "node_modules/.cache/fonts");
  mkdirSync(cache, { recursive: true });
  const packages = folders.map((name) => join(repository, "node_modules/@expo-google-fonts", name));
  const aliases = Object.entries(families).map(
    ([wanted, drawn]) =>
      `<alias binding="strong"><family>${wanted}</family><prefer><family>${drawn}</family></prefer></alias>`,
  );
  const text = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
${[latin, ...packages].map((folder) => `<dir>${Bun.escapeHTML(folder)}</dir>`).join("\n")}
<cachedir>${Bun.escapeHTML(cache)}</cachedir>
${aliases.join("\n")}
<match target="pattern">
<test name="lang" compare="contains"><string>zh</string></test>
<edit name="family" mode="prepend" binding="strong"><string>ZCOOL XiaoWei</string></edit>
</match>
</fontconfig>
`;
  // It appears whole: two runs at once must not read halves.
  const fresh = join(temporaryFolder(cache), "fonts.conf");
  writeFileSync(fresh, text);
  renameSync(fresh, join(cache, "fonts.conf"));
  return join(cache, "fonts.conf");
}
