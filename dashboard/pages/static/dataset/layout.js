/** Layout: where each frame lies in a grid, in pixels. A stream begins a new row, under its heading. */

const GAP = 6;
const HEADING = 40;

export class Layout {
  /** tile: least width of a frame. groups: [{start, count}] in order, or null for a grid without headings. */
  constructor(width, tile, total, groups) {
    this.total = total;
    this.columns = Math.max(1, Math.floor((width + GAP) / (tile + GAP)));
    this.size = (width + GAP) / this.columns - GAP;
    this.step = this.size + GAP;
    this.heading = groups ? HEADING : 0;
    this.rows = [];
    let y = 0;
    this.groups = (groups ?? [{ start: 0, count: total }]).map((group) => {
      const top = y;
      const end = group.start + group.count;
      y += this.heading;
      for (let start = group.start; start < end; start += this.columns, y += this.step) {
        this.rows.push({ start, count: Math.min(this.columns, end - start), y });
      }
      return { ...group, top, height: y - top };
    });
    this.height = y;
  }

  /** Return the upper left corner of a frame. */
  place(index) {
    const { start, y } = this.rows[lastAtMost(this.rows, "start", index)];
    return { x: (index - start) * this.step, y };
  }

  /** Return the frames [first, last) whose rows touch [top, bottom). */
  between(top, bottom) {
    if (!this.total) return [0, 0];
    const last = this.rows[lastAtMost(this.rows, "y", bottom)];
    return [this.rows[lastAtMost(this.rows, "y", top)].start, last.start + last.count];
  }

  /** Return the groups that touch [top, bottom). */
  groupsBetween(top, bottom) {
    return this.groups.slice(lastAtMost(this.groups, "top", top), lastAtMost(this.groups, "top", bottom) + 1);
  }

  /** Return the group of a frame. */
  groupOf(index) {
    return this.groups[lastAtMost(this.groups, "start", index)];
  }

  /** Return the frame that a key leads to from another one. page: height of a page. */
  neighbour(index, key, page) {
    const row = lastAtMost(this.rows, "start", index);
    const { start, y } = this.rows[row];
    const rows = { ArrowUp: row - 1, ArrowDown: row + 1, PageUp: lastAtMost(this.rows, "y", y - page), PageDown: lastAtMost(this.rows, "y", y + page) };
    if (key in rows) {
      const target = this.rows[rows[key]];
      return target ? target.start + Math.min(index - start, target.count - 1) : index;
    }
    return { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: this.total - 1 }[key];
  }
}

/** Return the position of the last item whose number of this name is at most `value`, or 0; the numbers ascend. */
function lastAtMost(items, name, value) {
  let low = 0;
  for (let high = items.length - 1; low < high; ) {
    const middle = Math.ceil((low + high) / 2);
    if (items[middle][name] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
