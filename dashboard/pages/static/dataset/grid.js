/** Grid: a list box of frames that holds only the tiles near the visible part. */

import { byId, format } from "/static/base/dom.js";
import { Layout } from "./layout.js";

const MAX_HEIGHT = 12_000_000; // browsers clip taller elements; a taller grid scrolls faster instead
const MARGIN = 0.6; // of the visible height: tiles that are made, and their pictures loaded, above and below
const LONG_PRESS_MS = 450;

const copyOf = (id) => byId(id).content.firstElementChild.cloneNode(true);

export class Grid {
  active = 0; // index of the frame that keys act on
  total = 0;
  #tiles = new Map(); // index → its element
  #spare = new Map(); // path → an element that may be used again
  #layout = new Layout(1, 1, 0, null);
  #press = 0; // timer of a touch; null after a long press
  #isScheduled = false;

  /** nameOf(id): name of a game. open(index), select(index, "only" | "toggle" | "range"): what pointers ask for. */
  constructor(selection, nameOf, open, select) {
    Object.assign(this, { selection, nameOf, open, select });
    this.scroller = byId("grid");
    this.list = byId("tiles");
    this.scroller.addEventListener("scroll", () => this.schedule(), { passive: true });
    new ResizeObserver(() => this.resize(this.tile)).observe(this.scroller);
    const { list } = this;
    list.addEventListener("click", (event) => this.#click(event));
    list.addEventListener("dblclick", () => open(this.active));
    list.addEventListener("contextmenu", (event) => event.pointerType === "touch" && event.preventDefault());
    list.addEventListener("pointerdown", (event) => this.#pointerDown(event));
    for (const name of ["pointerup", "pointercancel"]) list.addEventListener(name, () => this.#press && clearTimeout(this.#press));
  }

  /**
   * Show these frames; `groups` are their streams, or null. top: index of the frame that takes the place of the one
   * that is shown first; -1: do not scroll; null: show the beginning.
   */
  show(frames, total, groups, top) {
    const view = this.#view();
    const offset = this.#layout.total ? this.#layout.place(view.first).y - view.top : 0;
    const path = this.frames?.at(this.active)?.path;
    const former = [...this.#tiles.values()];
    this.#spare = new Map(former.map((tile) => [tile.frame?.path, tile]));
    this.#tiles.clear();
    Object.assign(this, { frames, total, groups });
    this.#layout = new Layout(this.list.clientWidth, this.tile, total, groups);
    byId("space").style.height = `${Math.min(MAX_HEIGHT, this.#layout.height)}px`;
    if (top !== -1) this.#scrollTo(top === null ? 0 : this.#layout.place(top).y - offset);
    const found = frames.indexOf(path);
    this.active = Math.max(0, Math.min(top === null ? 0 : found < 0 ? this.active : found, total - 1));
    this.render();
    for (const tile of former) if (this.#tiles.get(tile.index) !== tile) tile.remove();
    this.#spare.clear();
  }

  /** Set the least width of a tile, in pixels. */
  resize(tile) {
    this.tile = tile;
    const { top, first } = this.#view();
    if (this.frames) this.show(this.frames, this.total, this.groups, top > 0 ? first : -1);
  }

  /** Return the visible frames, [first, last). */
  visible() {
    const { first, last } = this.#view();
    return [first, last];
  }

  /** Make a frame the active one, scroll to it, and give it the focus. */
  activate(index) {
    if (!this.total) return;
    this.active = Math.max(0, Math.min(index, this.total - 1));
    const { top, height } = this.#view();
    const { y } = this.#layout.place(this.active);
    if (y - this.#layout.heading < top) this.#scrollTo(y - this.#layout.heading);
    else if (y + this.#layout.step > top + height) this.#scrollTo(y + this.#layout.step - height);
    this.render();
    this.#tiles.get(this.active).focus({ preventScroll: true });
  }

  /** Return the frame that a key leads to from the active one. */
  neighbour(key) {
    return this.#layout.neighbour(this.active, key, this.scroller.clientHeight);
  }

  /** Return the stream of a frame, {start, count, …}. */
  groupOf(index) {
    return this.#layout.groupOf(index);
  }

  /** Render at the next frame of the screen. */
  schedule() {
    if (this.frames && !this.#isScheduled) requestAnimationFrame(() => this.render());
    this.#isScheduled = Boolean(this.frames);
  }

  /** Make, fill and remove tiles so that those near the visible part are there. */
  render() {
    this.#isScheduled = false;
    const { top, height } = this.#view();
    const [from, to] = [top - height * MARGIN, top + height * (1 + MARGIN)];
    const [first, last] = this.#layout.between(from, to);
    this.frames.want(first, last, this.total);
    for (const [index, tile] of this.#tiles) {
      if ((index < first || index >= last) && index !== this.active) {
        tile.firstElementChild.removeAttribute("src"); // aborts a picture that is on its way
        tile.remove();
        this.#tiles.delete(index);
      }
    }
    for (let index = first; index < last; index++) this.#show(index);
    if (this.total) this.#show(this.active);
    this.#showHeadings(this.groups ? this.#layout.groupsBetween(from, to) : []);
  }

  #show(index) {
    const frame = this.frames.at(index);
    let tile = this.#tiles.get(index);
    if (!tile) {
      tile = this.#spare.get(frame?.path) ?? copyOf("tile");
      this.#spare.delete(frame?.path);
      this.#tiles.set(index, tile);
      this.#move(tile, index);
    }
    if (frame && tile.frame !== frame) this.#fill(tile, frame);
    tile.setAttribute("aria-selected", Boolean(frame) && this.selection.has(frame.path));
    tile.tabIndex = index === this.active ? 0 : -1;
  }

  #move(tile, index) {
    const { x, y } = this.#layout.place(index);
    tile.index = index;
    tile.style.transform = `translate(${x}px, ${y}px)`;
    tile.style.width = tile.style.height = `${this.#layout.size}px`;
    tile.setAttribute("aria-posinset", index + 1);
    tile.setAttribute("aria-setsize", this.total);
    if (!tile.isConnected) this.list.append(tile);
  }

  #fill(tile, frame) {
    const [picture, , login, finding] = tile.children;
    if (tile.frame?.picture !== frame.picture || !picture.naturalWidth) picture.src = frame.picture;
    tile.frame = frame;
    login.textContent = frame.login;
    finding.textContent = frame.suspect ? format.percent(frame.suspicion) : "";
    const suggested = frame.suggested && `looks like ${this.nameOf(frame.suggested)}`;
    const words = frame.suspect ? [`suspect ${finding.textContent}`, frame.kind, suggested] : [];
    tile.title = [frame.login, this.nameOf(frame.game_id), ...words].filter(Boolean).join("\n");
    tile.setAttribute("aria-label", tile.title.replace("\n", `, frame ${frame.number}, `).replaceAll("\n", ", "));
  }

  #showHeadings(groups) {
    const area = byId("headings");
    const former = new Map([...area.children].map((box) => [box.group, box]));
    const boxes = groups.map((group) => former.get(group) ?? this.#heading(group));
    if (boxes.length !== former.size || boxes.some((box) => !box.isConnected)) area.replaceChildren(...boxes);
  }

  #heading(group) {
    const box = copyOf("heading");
    const [login, game, facts, doubt, select] = box.firstElementChild.children;
    login.textContent = group.login;
    game.textContent = this.nameOf(group.game_id);
    facts.textContent = format.plural(group.count, "frame");
    doubt.textContent = group.suspicion ? `suspicion ${format.percent(group.suspicion)}` : "";
    select.setAttribute("aria-label", `Select the stream of ${group.login}`);
    box.group = group;
    box.style.top = `${group.top}px`;
    box.style.height = `${group.height}px`;
    return box;
  }

  /** Return the visible part: its top and height in the layout, and the frames [first, last) in it. */
  #view() {
    const { scrollTop, clientHeight: height } = this.scroller;
    const top = scrollTop * this.#scale();
    byId("layer").style.top = `${scrollTop - top}px`;
    const [first, last] = this.#layout.between(top + this.#layout.heading, top + height);
    return { top, height, first, last };
  }

  #scrollTo(top) {
    this.scroller.scrollTop = top / this.#scale();
  }

  /** Return how many pixels of the layout one pixel of the scroll bar stands for. */
  #scale() {
    const { clientHeight } = this.scroller;
    return Math.max(1, (this.#layout.height - clientHeight) / (MAX_HEIGHT - clientHeight));
  }

  #pointerDown({ pointerType, target }) {
    const { index } = target.closest(".tile") ?? {};
    this.#press = 0;
    if (pointerType !== "touch" || index === undefined) return;
    this.#press = setTimeout(() => {
      this.#press = null;
      this.#choose(index, "toggle");
    }, LONG_PRESS_MS);
  }

  #click(event) {
    const { index } = event.target.closest(".tile") ?? {};
    if (index === undefined || this.#press === null) return;
    const isTouch = event.pointerType === "touch";
    const isToggle = event.ctrlKey || event.metaKey || event.target.matches(".tile-mark") || (isTouch && this.selection.count);
    if (isTouch && !isToggle) this.open(index);
    else this.#choose(index, event.shiftKey ? "range" : isToggle ? "toggle" : "only");
  }

  #choose(index, mode) {
    this.activate(index);
    this.select(index, mode);
  }
}
