/** One frame, large: picture, provenance, the finding of the last check, neighbours, and what the model answers. */

import { get, post } from "/static/base/api.js";
import { byId, el, format, replace } from "/static/base/dom.js";
import { notifyError } from "/static/base/notices.js";

const PENDING_MS = 2000;

/** Return the API's path of a frame, whose file is <game>/<login>-<number>.jpg. */
const operation = (path) => `/dataset/frames/${path.match(/^(.*)\/(.*)-(.*)\.jpg$/s).slice(1).map(encodeURIComponent).join("/")}`;
const bar = (fraction) => el("span", { class: "share" }, el("span", { style: { width: format.percent(fraction) } }));

export class FrameView {
  path = "";
  index = -1;

  /** frames(), total(): those of the grid. onOpen(): called at the first frame. onPath(path): at another one, "" when closed. */
  constructor(frames, total, nameOf, onOpen, onPath) {
    Object.assign(this, { frames, total, nameOf, onOpen, onPath });
    this.dialog = byId("frame");
    this.dialog.addEventListener("close", () => {
      document.body.append(byId("notices"));
      this.path = "";
      onPath("");
    });
  }

  get isOpen() {
    return this.dialog.open;
  }

  close() {
    this.dialog.close();
  }

  /** Show a frame of the grid. */
  async openIndex(index) {
    if (!this.total()) return this.close();
    this.index = Math.max(0, Math.min(index, this.total() - 1));
    const frames = this.frames();
    try {
      if (!frames.at(this.index)) await frames.load(this.index);
    } catch (error) {
      return notifyError(error);
    }
    if (frames.at(this.index)) this.#open(frames.at(this.index));
    for (const beside of [index + 1, index - 1]) if (frames.at(beside)) new Image().src = frames.at(beside).picture;
  }

  /** Show the frame of a path, in the grid's order if it is there. */
  async openPath(path) {
    try {
      const index = await this.frames().find(path);
      if (index >= 0) return this.openIndex(index);
      this.index = -1;
      this.#open(await get(operation(path)));
    } catch (error) {
      notifyError(error);
    }
  }

  /** Ask the model what it answers for the frame. */
  async ask() {
    const { path } = this;
    replace(byId("frame-answer"), el("span", { class: "spinner" }));
    let rows;
    try {
      const { known, game, top } = (await post("/recognitions/frame", { path })).events.at(-1);
      rows = [el("p", { class: "name", text: known ? game.name : "None of the games that it knows" }), ...top.map(({ name, confidence }) =>
        el("div", { class: "answer" }, el("span", { class: "name clip", text: name }), bar(confidence), el("span", { class: "number", text: format.percent(confidence, 1) })))];
    } catch (error) {
      rows = [el("p", { class: "muted", text: error.detail ?? String(error) })];
    }
    if (path === this.path) replace(byId("frame-answer"), rows);
  }

  async #open(frame) {
    if (!this.isOpen) {
      this.dialog.showModal();
      this.dialog.append(byId("notices")); // what lies outside a modal dialog is inert
      this.onOpen();
    }
    byId("frame-place").textContent = this.index < 0 ? "" : `${format.number(this.index + 1)} of ${format.number(this.total())}`;
    if (this.path === frame.path) return;
    this.path = frame.path;
    this.onPath(frame.path);
    byId("frame-picture").src = frame.picture;
    byId("frame-picture").alt = `Frame ${frame.number} of ${frame.login}`;
    byId("frame-login").textContent = frame.login;
    byId("frame-game").textContent = this.nameOf(frame.game_id);
    replace(byId("frame-answer"));
    await this.#load(frame.path);
  }

  async #load(path) {
    if (path !== this.path) return;
    try {
      const details = await get(operation(path));
      if (path === this.path) this.#describe(details);
      if (details.neighbours_pending) setTimeout(() => this.#load(path), PENDING_MS);
    } catch (error) {
      if (path === this.path) notifyError(error);
    }
  }

  #describe(frame) {
    const facts = { ...frame, suspicion: frame.suspicion === null ? "not checked" : format.percent(frame.suspicion) + (frame.suspect ? ", suspect" : ""),
      suggested: frame.suggested && this.nameOf(frame.suggested), date: frame.date && format.time(frame.date), viewers: frame.viewers && format.number(frame.viewers) };
    for (const fact of this.dialog.querySelectorAll("[data-fact]")) {
      fact.textContent = facts[fact.dataset.fact] ?? "";
      fact.parentElement.hidden = !fact.textContent;
    }
    byId("frame-alike").hidden = !frame.neighbours.length;
    replace(byId("frame-neighbours"), frame.neighbours.map(({ path, picture, similarity }) => {
      const label = `${this.nameOf(path.split("/")[0])}, ${format.percent(similarity)} alike`;
      return el("button", { class: "neighbour", type: "button", title: label, "aria-label": label, dataset: { command: "open", path } },
        el("img", { src: picture, alt: "" }), format.percent(similarity));
    }));
  }
}
