/** Confidence over time, [[epoch_s, confidence, game id | null]…], as SVG lines, a colour for each game. */

import { format, svg } from "../base/dom.js";

const SHORTEST_S = 60; // the least time that a chart spans
const COLOURS = 16;
const GAP_S = 30; // an outage: no line across it
const names = new Map([[null, "Unknown"]]);
const colours = new Map([[null, "unknown"]]);

/** Remember the name of a game, {id, name} or null. */
export const learnName = (game) => game && names.set(String(game.id), game.name);

/** Return the class of a game's colour: by the order in which games appear on this page. */
export function colourOf(id = null) {
  if (!colours.has(id)) colours.set(id, `colour-${1 + (colours.size % COLOURS)}`);
  return colours.get(id);
}

function describe(history, span) {
  if (!history.length) return "No frame yet";
  const games = [...new Set(history.map((point) => point[2]))].map((id) => names.get(id) ?? id);
  const lowest = Math.min(...history.map((point) => point[1]));
  return `Confidence in ${format.duration(span)}, ${format.percent(lowest)} at its lowest: ${games.join(", then ")}`;
}

/** Draw a history, 240 by 48, and describe it in words. */
export function drawChart(chart, history) {
  const end = history.at(-1)?.[0];
  const span = Math.max(SHORTEST_S, end - history[0]?.[0]);
  const place = ([time, confidence]) => `${(240 - (240 * (end - time)) / span).toFixed(1)} ${(46 - 44 * confidence).toFixed(1)}`;
  const lines = {};
  history.forEach((point, index) => {
    const before = history[index - 1] ?? point;
    const colour = colourOf(point[2]);
    lines[colour] = `${lines[colour] ?? ""}M${place(point[0] - before[0] < GAP_S ? before : point)}L${place(point)}`;
  });
  chart.replaceChildren(...Object.entries(lines).map(([colour, d]) => svg("path", { class: colour, d })));
  chart.ariaLabel = describe(history, span);
}
