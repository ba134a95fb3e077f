/** One frame, large, with what is known of it, its neighbours, and what the model answers. */

import { get, post } from "/static/base/api.js";
import { byId, el, format, replace } from "/static/base/dom.js";

const operation = (path) => `/dataset/frames/${path.replace(".jpg", "").replace("-", "/")}`;
const toAnswer = ({ name, confidence }) => el("div", { class: "answer" }, el("span", { class: "name clip", text: name }),
  el("span", { class: "share" }, el("span", { style: { width: format.percent(confidence) } })), el("span", { class: "number", text: format.percent(confidence, 1) }));

/** Open a dialog with the notices in it: what lies outside is inert. */
export function showModal(dialog, onOpen) {
  if (dialog.open) return;
  dialog.showModal();
  dialog.append(byId("notices"));
  dialog.onclose = () => document.body.append(byId("notices"));
  onOpen?.(dialog);
}

export class FrameView {
  path = "";
  index = -1; // -1: not in the grid

  /** onPath(path): "" when closed. */
  constructor(grid, nameOf, onOpen, onPath) {
    Object.assign(this, { grid, nameOf, onOpen, onPath, dialog: byId("frame") });
    this.dialog.addEventListener("close", () => {
      onPath((this.path = ""));
      if (this.index >= 0) grid.activate(this.index);
    });
  }

  async openIndex(index) {
    const { frames, total } = this.grid;
    if (!total) return this.dialog.close();
    this.index = Math.max(0, Math.min(index, total - 1));
    if (!frames.at(this.index)) await frames.load(this.index);
    this.#open(frames.at(this.index));
  }

  /** isOpen: the frame is shown, in a grid that has changed. */
  async openPath(path, isOpen) {
    const { frames } = this.grid;
    const { index } = await frames.find(path);
    if (isOpen && (index < 0 || path !== this.path)) return;
    this.index = index;
    this.#open(isOpen ? { path } : frames.at(index) ?? (await get(operation(path))));
  }

  async ask() {
    const { path } = this;
    replace(byId("frame-answer"), el("span", { class: "spinner" }));
    let rows;
    try {
      const { known, game, top } = (await post("/recognitions/frame", { path })).events.at(-1);
      rows = [el("p", { class: "name", text: known ? game.name : "None of those it knows" }), ...top.map(toAnswer)];
    } catch (error) {
      rows = [el("p", { class: "muted", text: error.detail ?? error })];
    }
    if (path === this.path) replace(byId("frame-answer"), rows);
  }

  #open(frame) {
    if (!frame) return;
    showModal(this.dialog, this.onOpen);
    byId("frame-place").textContent = this.index < 0 ? "" : [this.index + 1, this.grid.total].map(format.number).join(" of ");
    if (this.path === frame.path) return;
    this.onPath((this.path = frame.path));
    Object.assign(byId("frame-picture"), { src: frame.picture, alt: `Frame ${frame.number} of ${frame.login}` });
    byId("frame-login").textContent = frame.login;
    byId("frame-game").textContent = this.nameOf(frame.game_id);
    replace(byId("frame-answer"));
    this.#load(frame.path);
  }

  async #load(path) {
    const frame = path === this.path && (await get(operation(path)));
    if (path !== this.path) return;
    this.#describe(frame);
    if (frame.neighbours_pending) setTimeout(() => this.#load(path), 2000);
  }

  #describe({ suspicion, suspect, suggested, date, neighbours, origin, ...facts }) {
    facts.suspicion = suspicion === null ? "not checked" : format.percent(suspicion) + (suspect ? ", suspect" : "");
    facts.suggested = suggested && this.nameOf(suggested);
    facts.date = date && format.time(date);
    facts.origin = el("a", { href: /^https:/.test(origin) && origin, target: "_blank", rel: "noopener noreferrer", text: origin });
    for (const fact of this.dialog.querySelectorAll("[data-fact]")) {
      replace(fact, facts[fact.dataset.fact]);
      fact.parentElement.hidden = !fact.textContent;
    }
    byId("frame-alike").hidden = !neighbours.length;
    replace(byId("frame-neighbours"), neighbours.map(({ path, picture: src, similarity, game_id: game }) => (
      el("button", { class: "neighbour", title: this.nameOf(game), dataset: { command: "open", path } },
        el("img", { src, alt: "" }), `${format.percent(similarity)} alike`))));
  }
}
