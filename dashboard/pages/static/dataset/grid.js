/** A list box of frames that holds only the tiles near the visible ones. */

import { byId, format } from "/static/base/dom.js";
import { Layout } from "./layout.js";

const MARGIN = 0.6; // of the visible height: tiles above and below

const copyOf = (id) => byId(id).content.firstElementChild.cloneNode(true);
const [scroller, list, space, headings] = ["grid", "tiles", "space", "headings"].map(byId);

export class Grid {
  active = 0; // the frame for keys
  total = 0;
  #tiles = new Map(); // index → its element
  #spare = new Map(); // path → an element to use again
  #layout = new Layout(1, 1, 0, null);
  #headed = []; // groups with headings
  #top0 = NaN; // the latest top
  #press = 0; // timer; null after a long press

  constructor(selection, nameOf, open, select) {
    Object.assign(this, { selection, nameOf, open, select });
    scroller.onscroll = () => this.render();
    new ResizeObserver(() => this.resize(this.tile)).observe(scroller);
    list.onclick = (event) => this.#click(event);
    list.ondblclick = () => open(this.active);
    list.oncontextmenu = ({ pointerType }) => pointerType !== "touch"; // a long press selects
    list.onpointerdown = ({ pointerType, target }) => (this.#press = pointerType === "touch" ? setTimeout(() => {
      this.#press = null;
      this.#choose(target.closest(".tile").index, "toggle");
    }, 450) : 0);
    list.onpointerup = list.onpointercancel = () => clearTimeout(this.#press);
  }

  /** top: the frame that takes the place of the one at `former`; -1: do not scroll; null: the beginning. */
  show(frames, total, groups, top, former) {
    const offset = this.total && former >= 0 && this.#layout.place(former).y - scroller.scrollTop;
    if (Math.abs(offset) > scroller.clientHeight) top = -1; // the user has scrolled away
    const path = this.frame?.path;
    const old = [...this.#tiles.values()];
    this.#spare = new Map(old.map((tile) => [tile.frame?.path, tile]));
    this.#tiles.clear();
    Object.assign(this, { frames, total, groups });
    this.#layout = new Layout(list.clientWidth, this.tile, total, groups);
    space.style.height = `${this.#layout.height}px`;
    if (top !== -1) scroller.scrollTop = top === null || !total ? 0 : this.#layout.place(top).y - offset;
    const found = frames.indexOf(path);
    this.active = Math.max(0, Math.min(top === null ? 0 : found < 0 ? this.active : found, total - 1));
    this.render();
    for (const tile of old) if (this.#tiles.get(tile.index) !== tile) tile.remove();
    this.#spare.clear();
  }

  resize(tile) {
    this.tile = tile;
    const { top, first } = this.view();
    if (this.frames) this.show(this.frames, this.total, this.groups, top > 0 ? first : -1, first);
  }

  view() {
    const { scrollTop: top, clientHeight: height } = scroller;
    const [first, last] = this.#layout.between(top + this.#layout.heading, top + height);
    return { top, height, first, last };
  }

  activate(index) {
    if (!this.total) return;
    this.active = Math.max(0, Math.min(index, this.total - 1));
    const { top, height } = this.view();
    const { y } = this.#layout.place(this.active);
    const { heading, step } = this.#layout;
    if (y - heading < top) scroller.scrollTop = y - heading;
    else if (y + step > top + height) scroller.scrollTop = y + step - height;
    this.render();
    this.#tiles.get(this.active).focus({ preventScroll: true });
  }

  step(key) {
    this.activate(this.#layout.neighbour(this.active, key, scroller.clientHeight));
  }

  get frame() {
    return this.frames?.at(this.active);
  }

  render() {
    if (!this.frames) return;
    const { top, height } = this.view();
    const margin = Math.abs(top - this.#top0) < height && height * MARGIN; // not at once after a jump
    if (!margin) setTimeout(() => this.render(), 250);
    this.#top0 = top;
    const near = [top - margin, top + height + margin];
    const [first, last] = this.#layout.between(...near);
    this.frames.want(first, last, this.total);
    for (const [index, tile] of this.#tiles) {
      if ((index >= first && index < last) || index === this.active) continue;
      tile.firstElementChild.removeAttribute("src"); // aborts its picture
      tile.remove();
      this.#tiles.delete(index);
    }
    for (let index = first; index < last; index++) this.#show(index);
    if (this.total) this.#show(this.active);
    this.#showHeadings(this.groups ? this.#layout.groupsBetween(...near) : []);
  }

  #show(index) {
    const frame = this.frames.at(index);
    let tile = this.#tiles.get(index);
    if (!tile) {
      tile = (frame && this.#spare.get(frame.path)) ?? copyOf("tile");
      this.#tiles.set(index, tile);
      this.#move(tile, index);
    }
    if (frame && tile.frame !== frame) this.#fill(tile, frame);
    tile.ariaSelected = Boolean(frame) && this.selection.has(frame.path);
    tile.tabIndex = index === this.active ? 0 : -1;
  }

  #move(tile, index) {
    const { x, y } = this.#layout.place(index);
    Object.assign(tile, { index, ariaPosInSet: index + 1, ariaSetSize: this.total });
    const side = `${this.#layout.size}px`;
    Object.assign(tile.style, { transform: `translate(${x}px, ${y}px)`, width: side, height: side });
    if (!tile.isConnected) list.append(tile);
  }

  #fill(tile, frame) {
    const [picture, , login, finding] = tile.children;
    if (tile.frame?.picture !== frame.picture || !picture.naturalWidth) picture.src = frame.picture;
    tile.frame = frame;
    login.textContent = frame.login;
    finding.textContent = frame.suspect ? format.percent(frame.suspicion) : "";
    const suggested = frame.suggested && `looks like ${this.nameOf(frame.suggested)}`;
    const words = frame.suspect ? [`suspect ${finding.textContent}`, frame.kind, suggested] : [];
    tile.title = tile.ariaLabel = [`${frame.login}, frame ${frame.number}`, this.nameOf(frame.game_id), ...words].filter(Boolean).join(", ");
  }

  #showHeadings(groups) {
    if (groups[0] === this.#headed[0] && groups.at(-1) === this.#headed.at(-1)) return;
    this.#headed = groups;
    headings.replaceChildren(...groups.map((group) => this.#heading(group)));
  }

  #heading(group) {
    const box = copyOf("heading");
    const { login, game_id: game, count, suspicion, top, height } = group;
    const texts = [login, this.nameOf(game), format.plural(count, "frame"), suspicion ? `suspicion ${format.percent(suspicion)}` : ""];
    const parts = box.firstElementChild.children;
    texts.forEach((text, at) => (parts[at].textContent = text));
    parts[4].ariaLabel = `Select the stream of ${login}`;
    Object.assign(box.style, { top: `${top}px`, height: `${height}px` });
    return Object.assign(box, { group });
  }

  #click({ target, pointerType, ctrlKey, metaKey, shiftKey }) {
    if (this.#press === null) return;
    const { index } = target.closest(".tile");
    const isTouch = pointerType === "touch";
    const isToggle = ctrlKey || metaKey || target.matches(".tile-mark") || (isTouch && this.selection.count);
    if (isTouch && !isToggle) this.open(index);
    else this.#choose(index, shiftKey ? "range" : isToggle ? "toggle" : "set");
  }

  #choose(index, mode) {
    this.activate(index);
    this.select(index, mode);
  }
}
