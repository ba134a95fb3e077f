/** Elements and texts. Texts of others are only ever set as text, never as HTML. */

/** Return a new element. Properties: text, dataset {…}, on {event: handler}, aria {…}, style {…}, and any attribute that is set. */
export const el = (tag, properties = {}, ...children) => fill(document.createElement(tag), properties, children);

/** Return a new SVG element, as `el` does. */
export const svg = (tag, properties = {}) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, []);

function fill(node, { text = "", dataset, on = {}, aria = {}, style = {}, ...attributes }, children) {
  node.textContent = text;
  Object.assign(node.dataset, dataset);
  for (const [name, handler] of Object.entries(on)) node.addEventListener(name, handler);
  for (const [name, value] of Object.entries(aria)) node.setAttribute(`aria-${name}`, value);
  for (const [name, value] of Object.entries(style)) node.style.setProperty(name, value);
  for (const [name, value] of Object.entries(attributes)) if (isSet(value)) node.setAttribute(name, value === true ? "" : value);
  node.append(...children.flat().filter(isSet));
  return node;
}

const isSet = (value) => (value ?? false) !== false;

/** Replace all children of a node. */
export const replace = (node, ...children) => node.replaceChildren(...children.flat().filter(isSet));

/** Return the element with this id. */
export const byId = (id) => document.getElementById(id);

const NUMBER = new Intl.NumberFormat("en");
const TIME = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const UNITS = [["day", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** Numbers and times for people. */
export const format = {
  number: (value) => NUMBER.format(value),
  plural: (count, word) => `${NUMBER.format(count)} ${word}${count === 1 ? "" : "s"}`,
  percent: (fraction, digits = 0) => `${(100 * fraction).toFixed(digits)}%`,
  time: (iso) => (iso ? TIME.format(new Date(iso)) : "unknown"),
  duration(seconds) {
    const [unit, size] = UNITS.find(([, least]) => seconds >= least) ?? UNITS.at(-1);
    const count = Math.floor(Math.max(0, seconds) / size);
    return unit === "day" ? format.plural(count, unit) : `${count} ${unit}`;
  },
  ago: (iso) => `${format.duration((Date.now() - new Date(iso)) / 1000)} ago`,
};
