/** Confidence over time as SVG lines, a colour for each game, with a text alternative. */

import { format, svg } from "../base/dom.js";

const [WIDTH, HEIGHT] = [240, 48];
const COLOURS = 8;
const SHORTEST_S = 60; // the least time that a chart spans
const GAP_S = 30; // an outage: no line across it

const names = new Map();
const colours = new Map();

/** Remember the name of a game, {id, name} or null. */
export const learnName = (game) => game && names.set(String(game.id), game.name);

/** Return the class of a game's colour: colours go round in the order in which games appear on this page. */
export function colourOf(id) {
  if (!id) return "unknown";
  if (!colours.has(id)) colours.set(id, `colour-${colours.size % COLOURS}`);
  return colours.get(id);
}

/** Return the games of a history in the order of their appearance: [{name, colour}]. */
export const gamesOf = (history) => [...new Set(history.map((point) => point[2]))]
  .map((id) => ({ name: id ? names.get(id) ?? `Game ${id}` : "Unknown", colour: colourOf(id) }));

/** Draw a history [[epoch_s, confidence, game id | null]…]; the chart's lines are used again. */
export function drawChart(chart, history) {
  const lines = linesOf(history);
  while (chart.childElementCount < lines.size) chart.append(svg("path"));
  while (chart.childElementCount > lines.size) chart.lastChild.remove();
  [...lines].forEach(([colour, d], index) => {
    chart.children[index].setAttribute("class", colour);
    chart.children[index].setAttribute("d", d);
  });
  chart.setAttribute("aria-label", describe(history));
}

function linesOf(history) {
  const end = history.at(-1)?.[0];
  const span = Math.max(SHORTEST_S, end - history[0]?.[0]);
  const place = ([time, confidence]) =>
    `${(WIDTH * (1 - (end - time) / span)).toFixed(1)} ${(HEIGHT * (0.97 - 0.94 * confidence)).toFixed(1)}`;
  const lines = new Map();
  history.forEach((point, index) => {
    const colour = colourOf(point[2]);
    const before = history[index - 1];
    const start = before && point[0] - before[0] < GAP_S ? before : point;
    lines.set(colour, `${lines.get(colour) ?? ""}M${place(start)}L${place(point)}`);
  });
  return lines;
}

function describe(history) {
  if (!history.length) return "Confidence over time: no frame yet";
  const lowest = Math.min(...history.map((point) => point[1]));
  const games = gamesOf(history).map(({ name }) => name);
  return `Confidence ${spanOf(history)}: ${format.percent(history.at(-1)[1])} now, ${format.percent(lowest)} at its lowest; ${games.join(", then ")}`;
}

/** Return the time that a history spans, in words. */
export const spanOf = (history) => (history.length ? `in the last ${format.duration(history.at(-1)[0] - history[0][0])}` : "");
