/** Selected frames: those of some paths, or all of the query but some. */

export class Selection {
  total = 0; // of the query
  isAll = false; // then #paths are those that are left out
  anchor = 0; // index from which ranges begin
  #paths = new Set();
  #fixed = []; // stay selected while the range from the anchor changes

  constructor(onChange) {
    this.onChange = onChange;
  }

  get count() {
    return this.isAll ? this.total - this.#paths.size : this.#paths.size;
  }

  has(path) {
    return this.#paths.has(path) !== this.isAll;
  }

  body(filter) {
    return this.isAll ? { filter, except: [...this.#paths] } : { frames: [...this.#paths] };
  }

  set(paths, isAll = false, fixed = paths) {
    this.#paths = new Set(paths);
    this.#fixed = isAll ? [] : [...fixed];
    this.isAll = isAll;
    this.onChange();
  }

  toggle(paths) {
    const isSelected = paths.every((path) => this.has(path));
    for (const path of paths) this.#paths[isSelected === this.isAll ? "add" : "delete"](path);
    this.set(this.#paths, this.isAll);
  }

  range(paths) {
    this.set([...this.#fixed, ...paths], false, this.#fixed);
  }
}
