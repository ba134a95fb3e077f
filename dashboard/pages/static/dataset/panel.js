/** Side panel: the games of the dataset, and the filters. */

import { byId, el, format, replace } from "/static/base/dom.js";

const MAX_GAMES = 300;
const SELECTS = ["language", "kind", "suggested"];

export class Panel {
  #drawn = "";

  /** onQuery(query): what the filters say has changed. */
  constructor(onQuery) {
    this.onQuery = onQuery;
    this.form = byId("filters");
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", ({ target }) => this.#input(target));
  }

  /** Show what the dataset holds, and the filters of a query. */
  show(summary, query) {
    Object.assign(this, { summary, query });
    const { elements } = this.form;
    const { languages, kinds, games } = summary;
    fill(elements.language, Object.keys(languages).sort().map((code) => [code, `${code || "unknown"} (${format.number(languages[code])})`]));
    fill(elements.kind, kinds.map((kind) => [kind, kind]));
    fill(elements.suggested, games.map(({ id, name }) => [id, name]));
    for (const name of ["q", "since", "until", ...SELECTS]) {
      if (elements[name] !== document.activeElement) elements[name].value = [query[name]].flat()[0] ?? "";
    }
    elements.suspect.checked = Boolean(query.suspect);
    byId("facts").textContent = `${format.plural(summary.frames, "frame")} of ${format.plural(games.length, "game")}. `
      + (summary.checked_at ? `Checked ${format.time(summary.checked_at)}.` : "Not checked yet: suspects are unknown.");
    this.#showGames();
  }

  /** Return the name of a game. */
  nameOf = (id) => this.summary?.games.find((game) => game.id === id)?.name ?? `game ${id}`;

  #input(target) {
    if (target.id === "game-search") return this.#showGames();
    const { name, value, checked, type } = target;
    let changed = SELECTS.includes(name) ? [value].filter(Boolean) : type !== "checkbox" || checked ? value : "";
    if (name === "game") changed = checked ? [...this.query.game, value] : this.query.game.filter((id) => id !== value);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.onQuery({ ...this.query, [name]: changed }), name === "q" ? 200 : 0);
  }

  #showGames() {
    const search = byId("game-search").value.trim().toLowerCase();
    const games = this.summary.games.filter(({ name }) => name.toLowerCase().includes(search));
    const drawn = JSON.stringify([games, this.query.game]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const { name, value } = document.activeElement;
    const more = games.length - MAX_GAMES;
    replace(byId("games"), games.slice(0, MAX_GAMES).map((game) => this.#game(game)),
      more > 0 ? el("li", { class: "muted", text: `${format.number(more)} more: search for them.` }) : null);
    if (name === "game") this.form.querySelector(`[name=game][value="${CSS.escape(value)}"]`)?.focus();
  }

  #game({ id, name, frames, streamers, checked, suspects }) {
    const share = format.percent(checked ? suspects / checked : 0);
    const box = el("input", { type: "checkbox", name: "game", value: id });
    box.checked = this.query.game.includes(id);
    return el("li", {}, el("label", { class: "game" }, box, el("span", { class: "name clip", text: name, title: name }),
      el("span", { class: "number", text: format.number(frames) }),
      el("span", { class: "muted", text: format.plural(streamers, "streamer") + (checked ? ` · ${share} suspects` : "") }),
      el("span", { class: "share" }, el("span", { style: { width: share } }))));
  }
}

function fill(select, options) {
  const key = JSON.stringify(options);
  if (select.key === key) return;
  select.key = key;
  replace(select, [["", "any"], ...options].map(([value, text]) => el("option", { value, text })));
}
