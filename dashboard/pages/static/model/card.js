/** Markdown of a model card as elements: headings, tables, lists, paragraphs, code and links. Nothing becomes HTML. */

import { el } from "../base/dom.js";

const INLINE = /\\([^\w\s])|`([^`]+)`|\*([^*]+)\*|\[([^\]]+)\]\((\S+)\)/g;

/** Return the blocks of a text. */
export const markdown = (text) => text.replace(/^---\n[^]*?\n---\n/, "").split(/\n\s*\n/).map((block) => toBlock(block.trim()));

function toBlock(block) {
  const [, marks, title] = /^(#{1,4}) (.*)/.exec(block) ?? [];
  if (marks) return el(`h${marks.length + 2}`, {}, inline(title));
  if (block.startsWith("- ")) return el("ul", {}, block.slice(2).split("\n- ").map((item) => el("li", {}, inline(item))));
  if (!block.startsWith("|")) return block && el("p", {}, inline(block));
  const [head, , ...body] = block.split("\n").map((line) => line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => inline(cell.trim())));
  return el("div", { class: "table-scroll", tabindex: 0 }, el("table", { class: "table" },
    el("thead", {}, el("tr", {}, head.map((cell) => el(cell[0] ? "th" : "td", {}, cell)))),
    el("tbody", {}, body.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell)))))));
}

function inline(text) {
  const parts = [];
  let end = 0;
  for (const { 0: all, index, 1: escaped, 2: code, 3: slanted, 4: label, 5: target } of text.matchAll(INLINE)) {
    parts.push(text.slice(end, index), escaped ?? (code ? el("code", { text: code }) : slanted ? el("em", { text: slanted })
      : target.startsWith("https://") ? el("a", { href: target, rel: "noreferrer", text: label }) : label));
    end = index + all.length;
  }
  return [...parts, text.slice(end)].filter(Boolean);
}
