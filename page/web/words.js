"use strict";
// Elements, and numbers in words.

/** An element with attributes and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** The same in SVG. */
function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const byId = (id) => document.getElementById(id);

/** Four digits that matter. */
function number(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e6) return value.toExponential(2);
  return value.toFixed(Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(size)))));
}

function bytes(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  for (const [unit, name] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (value >= unit) return `${(value / unit).toPrecision(3)} ${name}`;
  }
  return `${value} B`;
}

const milliseconds = (seconds) => `${number(1000 * seconds)} ms`;

const percent = (share) => `${Math.round(100 * share)}`;

/** Seconds as 0:07, 2:09 or 1:02:09. */
function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const whole = Math.round(seconds);
  const two = (part) => String(part).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

const clock = (at) => new Date(1000 * at).toLocaleTimeString([], { hour12: false });

/** The colour of the n-th of several things. */
const colour = (n) => style(`--c${n % 8}`);

/** Pieces and gaps of a line, in pixels, for the first, second, ... use of a colour. */
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];

/** What a line is drawn with, so that no two of thirty-two look the same. */
const look = (n) => ({ colour: colour(n), dash: DASHES[Math.floor(n / 8) % DASHES.length] });

/** A sign for a line in a legend. */
function mark({ colour, dash = [] }) {
  const sign = make("span", { class: dash.length ? "mark long" : "mark" });
  let at = 0;
  const stops = dash.map((size, n) => `${n % 2 ? "transparent" : colour} ${at}px ${(at += size)}px`);
  sign.style.background = dash.length ? `repeating-linear-gradient(90deg, ${stops.join(", ")})` : colour;
  return sign;
}

let styles = {};
/** A colour of the page's style. */
function style(name) {
  styles[name] ??= getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return styles[name];
}

// As the system says, light, or dark; a choice is remembered where the browser lets a page do that.
const THEMES = { auto: ["◐", "as the system says"], light: ["☀", "light"], dark: ["☾", "dark"] };
const system = matchMedia("(prefers-color-scheme: dark)");
const remembered = {
  get(name) { try { return localStorage.getItem(name); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(name, value); } catch { /* A page in a file may not. */ } },
};
/** How often the page has changed its colours. */
let dressed = 0;
let theme = remembered.get("pom2dib-theme") in THEMES ? remembered.get("pom2dib-theme") : "auto";

function dress() {
  const dark = theme === "dark" || (theme === "auto" && system.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  const [sign, words] = THEMES[theme];
  byId("theme").textContent = sign;
  byId("theme").setAttribute("aria-label", `Colours: ${words}`);
  byId("theme").title = `Colours: ${words}`;
  styles = {};
  dressed += 1;
  document.dispatchEvent(new Event("dressed"));
}

byId("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  theme = names[(names.indexOf(theme) + 1) % names.length];
  remembered.set("pom2dib-theme", theme);
  dress();
});
system.addEventListener("change", dress);
