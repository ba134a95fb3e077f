/** A tile of the wall: what one channel shows now. */

import { format } from "../base/dom.js";
import { colourOf, drawChart, learnName } from "./chart.js";
import { paint } from "./pictures.js";
import { copyOf, fillIn } from "./view.js";

const MAX_POINTS = 120;

/** One channel: its data, the most probable games of its newest frame, and its list item. */
export class Tile {
  data = { history: [] };
  top = [];
  isVisible = false;
  node = copyOf("tile");

  constructor(data) {
    this.node.dataset.tile = data.id;
    this.update(data);
    this.render();
  }

  /** Take over what changed, and the newest event. */
  update({ point, ...delta }, event) {
    Object.assign(this.data, delta);
    if (point) this.data.history = [...this.data.history, point].slice(-MAX_POINTS);
    this.top = event?.top ?? this.top;
    [...this.top, this.data.game].forEach(learnName);
  }

  /** Show the data in the list item, or in another view with such parts. */
  render(root = this.node, isVisible = this.isVisible) {
    const { state, message, game, known, confidence, category, mismatch, since, frames, history, picture } = this.data;
    const [canvas, chart, dot] = ["canvas", ".chart", ".dot"].map((name) => root.querySelector(name));
    Object.assign(root.dataset, { state, mismatch });
    drawChart(chart, history);
    fillIn(root, {
      ...this.data,
      message: state === "live" ? "" : message,
      game: game?.name ?? (frames ? "Unknown game" : "No frame yet"),
      confidence: known ? format.percent(confidence) : "",
      declares: mismatch === false ? "As declared" : category ? "Declares" : "No category known",
      category: mismatch === false ? "" : category?.name,
      since: since && `for ${format.duration((Date.now() - new Date(since)) / 1000)}`,
      chart: chart.ariaLabel,
    });
    dot.className = `dot ${colourOf(game?.id)}`;
    canvas.hidden = !picture;
    paint(canvas, isVisible && picture);
  }
}
