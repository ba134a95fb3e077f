/** A tile of the wall: what one channel shows now, and its confidence over time. */

import { format, svg } from "../base/dom.js";
import { copyOf, fillIn } from "./view.js";

const MAX_POINTS = 120;
const SHORTEST_S = 60; // the least time that a chart spans
const GAP_S = 30; // an outage: no line across it
const COLOURS = 16;
const PAUSE_MS = 1000; // between two pictures of a canvas
const TIMEOUT_MS = 10000;
const names = new Map([[null, "Unknown"]]);
const colours = new Map([[null, "unknown"]]);

/** Remember the name of a game. */
export const learnName = (game) => game && names.set(String(game.id), game.name);

/** Return the class of a game's colour: by the order in which games appear on this page. */
export function colourOf(id = null) {
  if (!colours.has(id)) colours.set(id, `colour-${1 + (colours.size % COLOURS)}`);
  return colours.get(id);
}

/** One channel: its data, the most probable games of its newest frame, and its list item. */
export class Tile {
  data = { history: [] };
  top = [];
  node = copyOf("tile");

  constructor(id) {
    this.node.dataset.tile = id;
  }

  /** Take over what changed, and the newest event. */
  update({ point, ...delta }, event) {
    const data = Object.assign(this.data, delta);
    // The server's clock may have gone back.
    if (point) data.history = [...data.history.filter(([time]) => time < point[0]), point].slice(-MAX_POINTS);
    this.top = event?.top ?? this.top;
    [...this.top, data.game].forEach(learnName);
  }

  /** Show the data in the list item, or in another view with such parts. */
  render(root = this.node) {
    const { state, message, game, known, confidence, category, mismatch, since, frames, history, picture } = this.data;
    const [canvas, chart, dot] = ["canvas", ".chart", ".dot"].map((name) => root.querySelector(name));
    const isSame = mismatch === false;
    Object.assign(root.dataset, { state, mismatch });
    draw(chart, history);
    fillIn(root, {
      ...this.data,
      message: state !== "live" && message,
      game: game?.name ?? (frames ? "Unknown game" : "No frame yet"),
      confidence: known && format.percent(confidence),
      declares: isSame ? "As declared" : category ? "Declares" : "No category known",
      category: !isSame && category?.name,
      since: since && `for ${format.duration((Date.now() - new Date(since)) / 1000)}`,
      chart: chart.ariaLabel,
      frames: format.number(frames),
    });
    dot.className = `dot ${colourOf(game?.id)}`;
    canvas.hidden = !picture;
    if (root.isVisible && picture) paint(canvas, picture);
  }
}

// A history is [[epoch_s, confidence, game id | null]…].
function draw(chart, history) {
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
  const games = new Set(history.map(([, , id]) => names.get(id) ?? id));
  const lowest = format.percent(Math.min(...history.map(([, confidence]) => confidence)));
  chart.ariaLabel = end ? `Confidence in ${format.duration(span)}, ${lowest} at its lowest: ${[...games].join(", then ")}` : "No frame yet";
}

// A canvas owns its bitmap: no leaks. Low priority: other requests come first.
async function paint(canvas, address) {
  if (canvas.isBusy || canvas.address === address) return;
  canvas.isBusy = true;
  try {
    const response = await fetch(address, { cache: "no-store", priority: "low", signal: AbortSignal.timeout(TIMEOUT_MS) });
    canvas.getContext("bitmaprenderer").transferFromImageBitmap(await createImageBitmap(await response.blob()));
    canvas.address = address;
  } catch {
    // The next frame brings another request.
  }
  setTimeout(() => (canvas.isBusy = false), PAUSE_MS);
}
