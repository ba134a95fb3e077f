/** Frames of a query by their index, loaded in pages; requests that are left behind are aborted. */

import { get } from "/static/base/api.js";

const PAGE = 100;
const MAX_PAGES = 80;
const MAX_PATHS = 20_000;

export class Frames {
  #pages = new Map(); // number of the page → its frames
  #requests = new Map(); // number of the page → AbortController

  constructor(query, onPage) {
    Object.assign(this, { query, onPage });
  }

  at(index) {
    return this.#pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  indexOf(path) {
    for (const [page, frames] of this.#pages) {
      const at = frames.findIndex((frame) => frame.path === path);
      if (at >= 0) return page * PAGE + at;
    }
    return -1;
  }

  want(first, last, total) {
    const [from, to] = [Math.max(0, first - PAGE / 2), Math.min(total, last + PAGE / 2)].map((index) => Math.floor(index / PAGE));
    for (const [page, request] of this.#requests) if (page < from || page > to) request.abort();
    for (let page = from; page <= to; page++) if (!this.#pages.has(page)) this.load(page * PAGE);
  }

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

  async find(...at) {
    const { offset, frames } = at.length ? await get("/dataset/frames", { ...this.query, at, limit: 1 }) : {};
    return { index: offset ?? -1, path: frames?.[0]?.path };
  }

  close() {
    this.onPage = () => {};
    for (const request of this.#requests.values()) request.abort();
  }
}
