/** Changes of frames: to another game, to the trash, and back. Each resolves to whether something has changed. */

import { post } from "/static/base/api.js";
import { choose, confirm } from "/static/base/dialogs.js";
import { format } from "/static/base/dom.js";
import { notify, notifyError } from "/static/base/notices.js";

const MANY = 5000; // frames that ask before they go
const ACTIONS = { move: "Move to another game", no_game: "Mark as no game", delete: "Delete" };

export class Actions {
  #done = []; // ids of this page's changes, the last one at the end
  #isBusy = false;

  /** onChange(): called after each change and after each attempt. */
  constructor(onChange) {
    this.onChange = onChange;
  }

  /** Change frames: "move" (asks where), "no_game" or "delete". body: the frames as the API takes them. */
  async change(action, body, count, games, suggested) {
    const frames = format.plural(count, "frame");
    if (count > MANY && !(await confirm(`${ACTIONS[action]}: ${frames}?`, { action: ACTIONS[action] }))) return false;
    if (action !== "move") return this.#attempt(() => this.#send({ ...body, action }, count, action === "delete" ? "deleted" : "marked as no game"));
    const items = games.map(({ id, name, frames: held }) => ({ value: id, label: name, note: format.number(held) }));
    items.sort((one, other) => (other.value === suggested) - (one.value === suggested));
    const chosen = await choose(`Move ${frames} to`, items, { allowNew: "New game" });
    return chosen !== null && this.#attempt(async () => {
      const game = chosen.name ? await post("/dataset/games", chosen) : games.find(({ id }) => id === chosen);
      return this.#send({ ...body, action, game_id: game.id }, count, `moved to ${game.name}`);
    });
  }

  /** Undo a change, by default the last one of this page that is not undone. */
  undo(id = this.#done.at(-1)) {
    if (!id) return notify("Nothing to undo here. The list of changes has those of others.");
    return this.#attempt(async () => {
      const { moved, trashed } = await post(`/dataset/changes/${encodeURIComponent(id)}/undo`);
      this.#done = this.#done.filter((other) => other !== id);
      notify(`Undone: ${format.plural(moved + trashed, "frame")}.`);
      return true;
    });
  }

  async #send(body, count, what) {
    const { id, moved, trashed } = await post("/dataset/changes", body);
    const went = moved + trashed;
    const rest = count > went ? ` ${format.number(count - went)} were gone, or there already.` : "";
    if (went) this.#done.push(id);
    notify(`${format.plural(went, "frame")} ${what}.${rest}`, went ? { action: { label: "Undo", run: () => this.undo(id) } } : {});
    return true;
  }

  async #attempt(run) {
    if (this.#isBusy) return false;
    this.#isBusy = true;
    try {
      return await run();
    } catch (error) {
      notifyError(error);
      return false;
    } finally {
      this.#isBusy = false;
      await this.onChange();
    }
  }
}
