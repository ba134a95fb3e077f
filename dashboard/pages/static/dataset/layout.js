/** Where each frame lies in a grid, in pixels. A stream begins a new row, under its heading. */

const GAP = 6;
const HEADING = 40;
const MAX_HEIGHT = 16e6; // browsers clip taller elements: the frames become smaller instead

export class Layout {
  /** tile: least width. groups: [{start, count}], or nothing: no headings. */
  constructor(width, tile, total, groups) {
    const columns = Math.ceil(Math.max(1, Math.floor((width + GAP) / (tile + GAP)), Math.sqrt((total * width) / MAX_HEIGHT)));
    this.total = total;
    this.step = (width + GAP) / columns;
    this.size = this.step - GAP;
    this.heading = groups ? HEADING : 0;
    this.rows = [];
    let y = 0;
    this.groups = (groups ?? [{ start: 0, count: total }]).map((group) => {
      const [top, end] = [y, group.start + group.count];
      y += this.heading;
      for (let { start } = group; start < end; start += columns, y += this.step) {
        this.rows.push({ start, count: Math.min(columns, end - start), y });
      }
      return { ...group, top, height: y - top };
    });
    this.height = y;
  }

  place(index) {
    const { start, y } = this.rows[search(this.rows, "start", index)];
    return { x: (index - start) * this.step, y };
  }

  between(top, bottom) {
    if (!this.total) return [0, 0];
    const [from, to] = [top, bottom].map((y) => this.rows[search(this.rows, "y", y)]);
    return [from.start, to.start + to.count];
  }

  groupsBetween(top, bottom) {
    return this.groups.slice(search(this.groups, "top", top), search(this.groups, "top", bottom) + 1);
  }

  neighbour(index, key, page) {
    const row = search(this.rows, "start", index);
    const { start, y } = this.rows[row];
    const [PageUp, PageDown] = [y - page, y + page].map((there) => search(this.rows, "y", there));
    const rows = { ArrowUp: row - 1, ArrowDown: row + 1, PageUp, PageDown };
    if (!(key in rows)) return { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: this.total - 1 }[key];
    const target = this.rows[rows[key]];
    return target ? target.start + Math.min(index - start, target.count - 1) : index;
  }
}

// Returns the place of the last item whose `name` is at most `value`.
function search(items, name, value) {
  let [low, high] = [0, items.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (items[middle][name] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
