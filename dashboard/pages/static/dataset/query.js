/** Query: which frames, in which order, by the API's names; the page's address holds it. */

const LISTS = ["game", "login", "language", "kind", "suggested"];
const WORDS = ["q", "since", "until", "suspect", "sort", "descending", "like"];
const FILTER = [...LISTS, ...WORDS.slice(0, 4)];

/** Return the query of the page's address, and the path of the frame that is open there. */
export function readAddress(values = new URLSearchParams(location.search)) {
  const query = {};
  for (const name of LISTS) query[name] = values.getAll(name);
  for (const name of WORDS) query[name] = values.get(name) ?? "";
  if (query.sort !== "likeness") query.like = "";
  if (!query.like && !/^(time|streamer|suspicion)$/.test(query.sort)) query.sort = "stream";
  return [query, values.get("frame")];
}

export const withoutFilter = ({ sort, descending, like }) => readAddress(new URLSearchParams({ sort, descending, like }))[0];

export function writeAddress(query, frame, isNew) {
  const values = new URLSearchParams();
  const sort = query.sort === "stream" ? "" : query.sort;
  for (const [name, value] of Object.entries({ ...query, sort, frame })) {
    for (const item of [value].flat()) if (item) values.append(name, item);
  }
  const address = values.size ? `?${values}` : location.pathname;
  if (address !== (location.search || location.pathname)) history[isNew ? "pushState" : "replaceState"](null, "", address);
}

export const toFilter = (query) => Object.fromEntries(FILTER.map((name) => [name, query[name]]).filter(([, value]) => value.length));
