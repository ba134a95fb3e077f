/** Side panel: the games of the dataset, and the filters. */

import { byId, el, format, replace } from "/static/base/dom.js";

const MAX_GAMES = 300;
const SELECTS = ["language", "kind", "suggested"];
const form = byId("filters");

export class Panel {
  #drawn = "";
  #timer = 0;

  constructor(onQuery) {
    this.onQuery = onQuery;
    form.onsubmit = () => false;
    form.oninput = ({ target }) => this.#input(target);
    form.onkeydown = ({ key, target }) => key !== "Escape" || target.type !== "search" || !!target.blur();
  }

  show(summary, query) {
    Object.assign(this, { summary, query });
    const { languages, kinds, games, frames, checked_at: checked } = summary;
    fill("language", Object.entries(languages).map(([code, count]) => [code, `${code || "unknown"} (${format.number(count)})`]));
    fill("kind", kinds.map((kind) => [kind, kind]));
    fill("suggested", games.map(({ id, name }) => [id, name]));
    for (const name of ["q", "since", "until", ...SELECTS]) {
      if (form[name] !== document.activeElement) form[name].value = [query[name]].flat()[0] ?? "";
    }
    form.suspect.checked = query.suspect;
    byId("sort").value = query.sort;
    byId("facts").textContent = `${format.plural(frames, "frame")} of ${format.plural(games.length, "game")}. `
      + (checked ? `Checked ${format.time(checked)}.` : "Not checked yet.");
    this.#showGames();
  }

  nameOf = (id) => this.summary?.games.find((game) => game.id === id)?.name ?? `game ${id}`;

  #input({ id, name, value, checked, type }) {
    if (id === "game-search") return this.#showGames();
    let changed = SELECTS.includes(name) ? [value].filter(Boolean) : type !== "checkbox" || checked ? value : "";
    if (name === "game") changed = checked ? [...this.query.game, value] : this.query.game.filter((other) => other !== value);
    this.query = { ...this.query, [name]: changed };
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.onQuery(this.query), name === "q" ? 200 : 0);
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
      more > 0 && el("li", { class: "muted", text: `${format.number(more)} more: search for them.` }));
    if (name === "game") form.querySelector(`[name=game][value="${value}"]`)?.focus();
  }

  #game({ id, name, frames, streamers, checked, suspects }) {
    const row = byId("game").content.firstElementChild.cloneNode(true);
    const [box, title, count, facts, bar] = row.firstElementChild.children;
    const share = format.percent(checked && suspects / checked);
    Object.assign(box, { value: id, checked: this.query.game.includes(id) });
    title.textContent = title.title = name;
    count.textContent = format.number(frames);
    facts.textContent = format.plural(streamers, "streamer") + (checked ? ` · ${share} suspects` : "");
    bar.firstElementChild.style.width = share;
    return row;
  }
}

function fill(name, options) {
  const key = JSON.stringify(options);
  if (form[name].key === key) return;
  form[name].key = key;
  replace(form[name], [["", "any"], ...options].map(([value, text]) => el("option", { value, text })));
}
