/** Selection: paths of frames, or all frames of the query but some. */

export class Selection {
  total = 0; // how many frames the query has
  isAll = false; // then #paths are those that are left out
  anchor = 0; // index from which ranges begin
  #paths = new Set();
  #fixed = new Set(); // what stays selected while the range from the anchor changes

  /** onChange(): called after each change. */
  constructor(onChange) {
    this.onChange = onChange;
  }

  has(path) {
    return this.#paths.has(path) !== this.isAll;
  }

  get count() {
    return this.isAll ? Math.max(0, this.total - this.#paths.size) : this.#paths.size;
  }

  /** Return one of the selected paths; undefined if all are selected. */
  get example() {
    return this.isAll ? undefined : this.#paths.values().next().value;
  }

  /** Return the frames as a change of the API takes them; `filter` is that of the query. */
  body(filter) {
    return this.isAll ? { filter, except: [...this.#paths] } : { frames: [...this.#paths] };
  }

  clear() {
    this.#set([]);
  }

  all() {
    this.#set([], true);
  }

  only(path, index) {
    this.anchor = index;
    this.#set([path]);
  }

  toggle(path, index) {
    this.anchor = index;
    this.toggleAll([path]);
  }

  /** Select paths; if all of them are selected, deselect them. */
  toggleAll(paths) {
    const others = new Set(this.#paths);
    const isSelected = paths.every((path) => this.has(path));
    for (const path of paths) others[isSelected === this.isAll ? "add" : "delete"](path);
    this.#set(others, this.isAll);
  }

  /** Select the paths from the anchor on, in place of the former ones. */
  range(paths) {
    const fixed = this.#fixed;
    this.#set([...(this.isAll ? [] : fixed), ...paths]);
    this.#fixed = fixed;
  }

  #set(paths, isAll = false) {
    this.#paths = this.#fixed = new Set(paths);
    this.isAll = isAll;
    this.onChange();
  }
}
