// A tenant's accent as the colours the page needs: whatever it is, what is written in it or on it reaches 4.5:1, the
// contrast that WCAG 2.2 asks for (1.4.3), in the light theme and in the dark one.

type Rgb = readonly [red: number, green: number, blue: number];

const black: Rgb = [0, 0, 0];
const white: Rgb = [255, 255, 255];

const readable = 4.5;
// A fill is known by what is drawn on it; it only must not vanish in the ground.
const seen = 1.4;

/** What the accent is written on, as base.css and chat-dark.css have it, and where it goes to be seen there. */
export const themes = {
  light: { grounds: ["#ffffff", "#f5f6f8"], away: black, tint: 0.1 },
  dark: { grounds: ["#15171c", "#1e2128"], away: white, tint: 0.22 },
} as const;

/** The variables of both themes, as a style sheet; `darkWhen` is the media query for the dark one. */
export function themeOf(accent: string, darkWhen: string): string {
  return `:root{${variables(accent, "light")}}@media ${darkWhen}{:root{${variables(accent, "dark")}}}`;
}

function variables(accent: string, theme: keyof typeof themes): string {
  const { grounds, away, tint } = themes[theme];
  const [ground] = grounds;
  const fill = contrasting(rgbOf(accent), [ground], away, seen);
  const onFill = contrast(fill, white) >= readable ? white : black;
  const link = contrasting(rgbOf(accent), grounds, away, readable);
  const colours = {
    accent: fill,
    "accent-hover": mix(fill, onFill === white ? black : white, 0.15),
    "on-accent": onFill,
    link,
    "link-hover": mix(link, away, 0.25),
    bubble: mix(rgbOf(ground), rgbOf(accent), tint),
  };
  return Object.entries(colours)
    .map(([name, colour]) => `--${name}:${hexOf(colour)}`)
    .join(";");
}

/** The colour itself, or as little of a way towards `away` as gives it this contrast to all the grounds. */
function contrasting(colour: Rgb, grounds: readonly string[], away: Rgb, least: number): Rgb {
  for (let share = 0; share < 1; share += 0.01) {
    const mixed = mix(colour, away, share);
    if (grounds.every((ground) => contrast(mixed, rgbOf(ground)) >= least)) return mixed;
  }
  return away;
}

/** As WCAG 2.2 defines it, from 1 to 21. */
export function contrast(one: Rgb, other: Rgb): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(colour: Rgb): number {
  const [red, green, blue] = colour.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as unknown as Rgb;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function mix(colour: Rgb, other: Rgb, share: number): Rgb {
  return colour.map((value, i) => Math.round(value + ((other[i] ?? 0) - value) * share)) as unknown as Rgb;
}

/** Of `#rrggbb`. */
export function rgbOf(hex: string): Rgb {
  const bits = Number.parseInt(hex.slice(1), 16);
  return [bits >> 16, (bits >> 8) & 255, bits & 255];
}

function hexOf(colour: Rgb): string {
  return `#${colour.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}
