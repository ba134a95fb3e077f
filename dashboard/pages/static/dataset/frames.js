/** Frames of a query by their index, loaded in pages; a page that is left behind before it came is aborted. */

import { get } from "/static/base/api.js";

const PAGE = 200;
const MAX_PAGES = 40;
const MAX_PATHS = 20_000;

export class Frames {
  #pages = new Map(); // number of the page → its frames
  #requests = new Map(); // number of the page → AbortController

  /** onPage(answer): a page has come. onError(error): it has not. */
  constructor(query, onPage, onError) {
    Object.assign(this, { query, onPage, onError });
  }

  /** Return a frame; undefined while it is not loaded. */
  at(index) {
    return this.#pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** Return the index of a loaded frame, or -1. */
  indexOf(path) {
    for (const [page, frames] of this.#pages) {
      const at = frames.findIndex((frame) => frame.path === path);
      if (at >= 0) return page * PAGE + at;
    }
    return -1;
  }

  /** Load what is missing of [first, last) and a little around it; abort other requests. */
  want(first, last, total) {
    const [from, to] = [Math.max(0, first - PAGE / 2), Math.min(total, last + PAGE / 2)].map((index) => Math.floor(index / PAGE));
    for (const [page, request] of this.#requests) if (page < from || page > to) request.abort();
    for (let page = from; page <= to; page++) if (!this.#pages.has(page)) this.load(page * PAGE).catch(this.onError);
  }

  /** Load the page of an index; resolve to the answer, to nothing if it is on its way. */
  async load(index) {
    const page = Math.floor(index / PAGE);
    if (this.#requests.has(page)) return;
    const request = new AbortController();
    this.#requests.set(page, request);
    try {
      const answer = await get("/dataset/frames", { ...this.query, offset: page * PAGE, limit: PAGE }, request);
      if (this.#pages.size >= MAX_PAGES) this.#pages.delete(this.#pages.keys().next().value);
      this.#pages.set(page, answer.frames);
      this.onPage(answer);
      return answer;
    } finally {
      this.#requests.delete(page);
    }
  }

  /** Return the paths of [first, last), loaded or not. */
  async paths(first, last) {
    const paths = [];
    while (this.at(first) && first < last) paths.push(this.at(first++).path);
    for (let end = last; first < end; first += MAX_PATHS) {
      const answer = await get("/dataset/paths", { ...this.query, offset: first, limit: Math.min(MAX_PATHS, last - first) });
      end = Math.min(last, answer.total);
      paths.push(...answer.paths);
    }
    return paths;
  }

  /** Return the index of the first of these paths that is there, or -1. */
  async find(...at) {
    return at.length ? ((await get("/dataset/frames", { ...this.query, at, limit: 1 })).offset ?? -1) : -1;
  }

  close() {
    this.onPage = () => {};
    for (const request of this.#requests.values()) request.abort();
  }
}
