/** Query: which frames are shown and in which order, by the API's names. The page's address holds it. */

const LISTS = ["game", "login", "language", "kind", "suggested"];
const WORDS = ["q", "since", "until", "suspect"];
const ORDER = ["sort", "descending", "like"];

/** Return the query without filters, in the order of another one. */
export const withoutFilter = (query) => ({
  ...query, ...Object.fromEntries([...WORDS.map((name) => [name, ""]), ...LISTS.map((name) => [name, []])]),
});

/** Return the query of the page's address, and the path of the frame that is open there, or "". */
export function readAddress() {
  const values = new URLSearchParams(location.search);
  const query = withoutFilter({ sort: "stream" });
  for (const name of [...WORDS, ...ORDER]) query[name] = values.get(name) || query[name] || "";
  for (const name of LISTS) query[name] = values.getAll(name);
  return [query, values.get("frame") ?? ""];
}

/** Write them into the page's address; isNew: as another entry of the browser's history. */
export function writeAddress(query, frame, isNew) {
  const values = new URLSearchParams();
  const sort = query.sort === "stream" ? "" : query.sort;
  for (const [name, value] of Object.entries({ ...query, sort, frame })) {
    for (const item of [value].flat()) if (item) values.append(name, item);
  }
  const address = values.size ? `?${values}` : location.pathname;
  if (address !== (location.search || location.pathname)) history[isNew ? "pushState" : "replaceState"](null, "", address);
}

/** Return the filter of a query, as the body of a request holds it. */
export function toFilter(query) {
  const filter = Object.fromEntries([...LISTS, ...WORDS].map((name) => [name, query[name]]).filter(([, value]) => value.length));
  return filter.suspect ? { ...filter, suspect: true } : filter;
}
