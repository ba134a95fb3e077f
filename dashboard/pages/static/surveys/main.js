/** Surveys: start one, follow it, and look through its results. The address names the chosen one: #id. */

import { get, post, remove, url } from "../base/api.js";
import { confirm } from "../base/dialogs.js";
import { byId, format, replace } from "../base/dom.js";
import { copyOf, fillIn } from "../live/view.js";

const ROWS = 100; // of a page of the table: the server's default
const [BUSY_MS, IDLE_MS] = [2000, 15000]; // between two requests: while a survey runs, otherwise
const FIRST_PAGE = { offset: 0, sort: "", descending: false };

const [start, filters, head, view, progress] = ["start", "filters", "head", "survey", "progress"].map(byId);
let page = FIRST_PAGE;
let timer, tabled; // tabled: the survey and the number of results that the tables show
let asked, query; // the newest requests: an older one may be answered later

const { game } = filters.elements;
const chosen = () => location.hash.slice(1);
const share = (part, whole) => format.number(part) + (whole ? ` (${format.percent(part / whole)})` : "");

function textsOf({ state, options, progress: { done, total }, started, meaning, message, exit_code: code }) {
  const { game, top_streams: top, frames, preview, languages } = options;
  const notes = [format.time(started), frames && `${frames} frames each`, preview && "preview images first", ...languages];
  return {
    title: game ?? `${format.number(top)} most viewed streams`,
    state,
    progress: `${format.number(done)}${total ? ` of ${format.number(total)}` : ""} streams`,
    notes: notes.filter(Boolean).join(" · "),
    meaning: code && (message || meaning),
  };
}

async function refresh() {
  const own = (asked = {});
  let isBusy = false;
  try {
    const { surveys, obstacle } = await get("/surveys");
    if (own !== asked) return;
    isBusy = surveys.some(({ state }) => ["running", "stopping"].includes(state));
    replace(byId("surveys"), surveys.map(entryOf));
    byId("obstacle").textContent = obstacle;
    byId("submit").disabled = obstacle || isBusy;
    view.hidden = !surveys.some(({ id }) => id === chosen());
    if (!view.hidden) await showSurvey(await get(`/surveys/${chosen()}`));
  } finally {
    clearTimeout(timer);
    timer = setTimeout(() => document.hidden || refresh(), isBusy ? BUSY_MS : IDLE_MS);
  }
}

function entryOf(survey) {
  const { id } = survey;
  const entry = copyOf("survey-entry", textsOf(survey));
  Object.assign(entry.firstChild, { href: `#${id}`, ariaCurrent: id === chosen() });
  return entry;
}

async function showSurvey(survey) {
  const { id, state, progress: { done, total }, summary } = survey;
  const { streams, games } = summary;
  const shares = ["known", "unknown", "failed"].map((name) => [name, share(summary[name], streams)]);
  if (id !== chosen()) return;
  Object.assign(view.dataset, { state, streams });
  fillIn(view, {
    ...textsOf(survey),
    ...Object.fromEntries(shares),
    streams: format.number(streams),
    mismatches: share(summary.mismatches, summary.compared),
  });
  if (total) Object.assign(progress, { max: total, value: done });
  for (const kind of ["csv", "parquet"]) byId(kind).href = url(`/surveys/${id}/results.${kind}`);
  if (tabled === (tabled = id + streams)) return;
  replace(byId("games-body"), games.map(({ name, streams: count, mismatches: others }) =>
    copyOf("game-row", { name, count, bar: count / games[0].streams, others: share(others, count) })));
  const { value } = game;
  replace(game, new Option("All", ""), games.map(({ name, id }) => new Option(name, id)));
  game.value = value;
  await showResults();
}

async function showResults(values) {
  page = { ...page, ...values };
  const own = (query = { ...Object.fromEntries(new FormData(filters)), ...page });
  const { total, results } = await get(`/surveys/${chosen()}/results`, own);
  if (own !== query) return;
  const end = page.offset + results.length;
  replace(byId("results"), results.map(rowOf));
  byId("caption").textContent = total ? `Streams ${page.offset + 1} to ${end} of ${format.number(total)}` : "No stream matches.";
  byId("previous").disabled = !page.offset;
  byId("next").disabled = end >= total;
  for (const cell of head.children) {
    const isSorted = cell.firstChild.dataset.sort === page.sort;
    cell.ariaSort = !isSorted ? "none" : page.descending ? "descending" : "ascending";
  }
}

function rowOf({ source, url, known, game, closest, confidence, score, frames, category, mismatch, reason, message }) {
  const row = copyOf("row", {
    source,
    url,
    game: known ? game.name : reason ? `Failed: ${reason}` : "Unknown",
    note: !known && (message ?? `closest: ${closest.name}`),
    confidence: !reason && format.percent(confidence),
    score: !reason && `${score.toFixed(1)} of ${frames}`,
    category: category?.name,
    match: { true: "≠ differs", false: "✓ same" }[mismatch],
  });
  Object.assign(row.dataset, { known, mismatch });
  return row;
}

start.onsubmit = async (event) => {
  event.preventDefault();
  const { of, frames, languages, ...body } = Object.fromEntries(new FormData(start)); // a disabled field is not there
  body.frames = frames || null;
  body.languages = languages.toLowerCase().match(/[^\s,]+/g) ?? [];
  location.hash = (await post("/surveys", body)).id;
};
start.oninput = () => {
  const { of, game } = start.elements;
  game.disabled = game.parentNode.hidden = of.value !== "game";
};
byId("stop").onclick = () => post(`/surveys/${chosen()}/stop`).then(refresh);
byId("delete").onclick = async () => {
  if (await confirm("The results of this survey will be deleted.", "Delete")) remove(`/surveys/${chosen()}`).then(refresh);
};
head.onclick = ({ target: { dataset: { sort } } }) => {
  if (sort) showResults({ sort, offset: 0, descending: sort === page.sort && !page.descending });
};
filters.oninput = () => showResults({ offset: 0 });
filters.onsubmit = (event) => event.preventDefault();
const turn = (by) => () => showResults({ offset: page.offset + by });
[byId("previous").onclick, byId("next").onclick] = [turn(-ROWS), turn(ROWS)];
onhashchange = async () => {
  filters.reset();
  page = FIRST_PAGE;
  await refresh();
  view.scrollIntoView({ block: "nearest" });
};
document.onvisibilitychange = () => document.hidden || refresh();

// Games to suggest; the page works without them.
const suggested = new Set();
for (const path of ["/dataset", "/model"]) {
  get(path).then(({ games, classes }) => {
    for (const { name } of games ?? classes) suggested.add(name);
    replace(byId("games"), [...suggested].map((name) => new Option(name)));
  }, () => {});
}
refresh();
